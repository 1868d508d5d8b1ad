"""ONNX Runtime: ONNX files, including those that MLflow saved."""

from __future__ import annotations

import difflib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cloche.artifacts import FileEntry, ModelFormat, Severity
from cloche.errors import ClocheError, UsageError
from cloche.model_config.names import ONNX_FILE, VERSION, onnx_file_of
from cloche.repository.backends import onnx_axes
from cloche.repository.backends.backend import BackendFiles, ItemCost
from cloche.repository.backends.settings import write_parameters
from cloche.repository.tensors import item_bytes
from cloche.spec.quantities import format_processors

if TYPE_CHECKING:
    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec
    from cloche.store import Store

_ACTIVATIONS = 512 * 2**20
"""Bytes of activations that a batch may take by default."""
_THREADS = "intra_op_thread_count"
_NUMBER, _SWITCH, _TEXT = "a number of threads", "0 or 1", "text"
_PARAMETERS = {
    _THREADS: _NUMBER,
    "inter_op_thread_count": _NUMBER,
    "execution_mode": _SWITCH,
    "enable_mem_arena": _SWITCH,
    "enable_mem_pattern": _SWITCH,
    "memory.enable_memory_arena_shrinkage": _TEXT,
    "session.use_device_allocator_for_initializers": _SWITCH,
    "cudnn_conv_algo_search": _TEXT,
    "gpu_mem_limit": _TEXT,
    "arena_extend_strategy": _TEXT,
    "do_copy_in_default_stream": _SWITCH,
}
"""The parameters that Triton's ONNX Runtime backend reads from a model's configuration."""
_GRAPH_LEVELS = {"basic": -1, "extended": 1, "none": 2}
"""From the README of Triton's ONNX Runtime backend; 0 or unset means all optimisations."""
_MLFLOW_FILES = frozenset({
    "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json",
    "serving_input_example.json", "input_example.npz", "registered_model_meta",
    "metadata", "code", "artifacts",
})  # fmt: skip
"""Files and folders that MLflow writes beside the model."""


class OnnxRuntime:
    """Triton's ONNX Runtime backend; implements `cloche.repository.backends.Backend`."""

    name = "onnxruntime"
    formats = frozenset({ModelFormat.ONNX, ModelFormat.MLFLOW})
    batches = True
    optional_inputs = False
    empty_axes = False
    completed_batch = 4  # default of `--backend-config=default-max-batch-size`

    def reason(self, facts: ModelFacts) -> str:  # noqa: ARG002
        """Return why this backend serves the model."""
        return "the model is ONNX"

    def files(
        self,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        lock: Lock | None,  # noqa: ARG002 - nothing of the model's own runs
        store: Store,
    ) -> BackendFiles:
        """Return the ONNX file as `model.onnx`, and its weights relative to it.

        Weights keep the names that the model refers to. Raises ClocheError `repository.onnx` if a
        folder holds no ONNX file, or several.
        """
        entry = _ENTRY[snapshot.format](snapshot)
        folder = PurePosixPath(entry).parent
        beside = [
            FileEntry(str(PurePosixPath(file.path).relative_to(folder)), file.size, file.digest)
            for file in snapshot.files
            if file.path != entry and PurePosixPath(file.path).is_relative_to(folder)
        ]
        if entry != snapshot.entry:
            beside = [f for f in beside if PurePosixPath(f.path).parts[0] not in _MLFLOW_FILES]
        taken = any(file.path == ONNX_FILE for file in beside)
        filename = PurePosixPath(entry).name if taken else ONNX_FILE
        model = next(file for file in snapshot.files if file.path == entry)
        if facts.opened:
            chosen = [spec for spec in facts.inputs if spec.name in facts.opened]
            model = onnx_axes.declare(model, chosen, store)
        files = [FileEntry(filename, model.size, model.digest), *beside]
        return BackendFiles(
            tuple(FileEntry(f"{VERSION}/{file.path}", file.size, file.digest) for file in files),
            filename if taken else None,
        )

    def item_cost(self, facts: ModelFacts) -> ItemCost | str:
        """Return the activations of one item; they exceed its inputs and outputs."""
        taken, given = item_bytes(facts.inputs), item_bytes(facts.outputs)
        if taken is None or given is None:
            return "the size of one item varies by request, so a modest batch"
        if facts.memory_bytes is None:
            return "the memory of one item is unknown, so a modest batch"
        size = max(facts.memory_bytes - facts.size_bytes, taken + given)
        return ItemCost(size, _ACTIVATIONS, "activations")

    def configure(
        self,
        config: Any,
        spec: ServiceSpec,
        lock: Lock | None,  # noqa: ARG002 - nothing of the model's own runs
        reasons: Reasons,
    ) -> None:
        """Set threads and the level of graph optimisation, and check the parameters."""
        _check_parameters(spec.server.parameters, reasons)
        _fill_threads(config, spec, reasons)
        write_parameters(config, spec, reasons)
        _fill_graph_level(config, spec, reasons)


def _own_entry(snapshot: ModelSnapshot) -> str:
    return snapshot.entry


def _onnx_of_folder(snapshot: ModelSnapshot) -> str:
    paths = [file.path for file in snapshot.files]
    entry = onnx_file_of(paths)
    if entry is None:
        count = sum(path.endswith(".onnx") for path in paths)
        raise ClocheError(
            "repository.onnx",
            "The MLflow folder declares an ONNX model, but "
            + (f"it has {count} .onnx files." if count else "it has no .onnx file."),
            where=snapshot.pinned,
            hint="Log the model again with mlflow.onnx.log_model.",
        )
    return entry


_ENTRY = {ModelFormat.ONNX: _own_entry, ModelFormat.MLFLOW: _onnx_of_folder}
"""Finds the model file of a snapshot, by format."""


def _fill_threads(config: Any, spec: ServiceSpec, reasons: Reasons) -> None:
    path = f"parameters.{_THREADS}"
    if _THREADS in spec.server.parameters:
        return
    if spec.resources.cpu is None:
        reasons.default(path, "not set", "the runtime uses the processors that it finds")
        return
    instances = spec.instances or 1
    threads = max(1, int(spec.resources.cpu // instances))
    config.parameters[_THREADS].string_value = str(threads)
    share = f"{format_processors(spec.resources.cpu)} processors"
    share += f" for {instances} instances" if instances > 1 else ""
    reasons.asked(path, threads, f"resources.cpu: {share}")


def _fill_graph_level(config: Any, spec: ServiceSpec, reasons: Reasons) -> None:
    asked, path = spec.server.graph_optimization, "optimization.graph.level"
    if asked is None:
        reasons.default(path, "all", "ONNX Runtime's own default: all of its graph optimisations")
        return
    if asked in _GRAPH_LEVELS:
        config.optimization.graph.level = _GRAPH_LEVELS[asked]
    reasons.asked(path, asked, "server.graph_optimization")


def _check_parameters(parameters: dict[str, str], reasons: Reasons) -> None:
    for key, value in parameters.items():
        kind = _PARAMETERS.get(key)
        if kind is None:
            close = difflib.get_close_matches(key, _PARAMETERS, n=1)
            reasons.find(
                Severity.WARNING,
                "parameter",
                f"The ONNX Runtime backend reads no parameter {key}.",
                f"Did you mean {close[0]}?" if close else "It is passed on anyway.",
            )
            continue
        fits = {_NUMBER: value.isascii() and value.isdigit(), _SWITCH: value in {"0", "1"}}
        if not fits.get(kind, True):
            raise UsageError(
                "repository.parameter",
                f"server.parameters.{key} is {value!r}, and must be {kind}.",
                hint="Correct it, or remove it to use the runtime's default.",
            )
