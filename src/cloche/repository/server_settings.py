"""Instances, threads and the backend's own parameters."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Severity
from cloche.errors import UsageError
from cloche.spec.quantities import format_processors
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.artifacts import Lock, ModelFacts
    from cloche.repository.reasons import Reasons
    from cloche.spec import ServiceSpec

ENVIRONMENT = "$$TRITON_MODEL_DIRECTORY/environment"
_THREADS = "intra_op_thread_count"
_NUMBER, _SWITCH, _TEXT = "a number of threads", "0 or 1", "text"
_ONNXRUNTIME = {
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
"""As the README of Triton's ONNX Runtime backend gives them; 0 or nothing is all of them."""


def fill(
    config: Any, facts: ModelFacts, lock: Lock | None, spec: ServiceSpec, reasons: Reasons
) -> None:
    """Set instance_group, parameters and optimization.

    Raises UsageError `repository.parameter` for a value that the backend would refuse.
    """
    instances = spec.instances or 1
    group = config.instance_group.add(count=instances)
    group.kind = group.Kind.Value("KIND_AUTO")
    if spec.instances is None:
        why = "one instance uses all threads it is given; another costs the model's memory again"
        reasons.default("instance_group.count", 1, why)
    else:
        reasons.asked("instance_group.count", instances, "instances")
    why = "a graphics processor where there is one, so that the same bytes serve everywhere"
    reasons.default("instance_group.kind", "KIND_AUTO", why)
    _check_memory(facts, spec, instances, reasons)
    parameters = dict(spec.server.parameters)
    if facts.backend == "onnxruntime":
        _check_parameters(parameters, reasons)
        _fill_threads(config, parameters, spec, instances, reasons)
    else:
        _note_unread(parameters, reasons)
    for key, value in parameters.items():
        config.parameters[key].string_value = value
        reasons.asked(f"parameters.{key}", value, f"server.parameters.{key}")
    if lock is not None and facts.backend == "python":
        config.parameters["EXECUTION_ENV_PATH"].string_value = ENVIRONMENT
        why = f"the model's own requirements, locked for Python {lock.python}"
        reasons.model("parameters.EXECUTION_ENV_PATH", ENVIRONMENT, why)
    _fill_graph_level(config, facts, spec, reasons)
    why = "answers are computed, never remembered: a cache is asked for, not assumed"
    reasons.default("response_cache.enable", "false", why)


def _fill_threads(
    config: Any, parameters: dict[str, str], spec: ServiceSpec, instances: int, reasons: Reasons
) -> None:
    path = f"parameters.{_THREADS}"
    if _THREADS in parameters:
        return
    if spec.resources.cpu is None:
        reasons.default(path, "not set", "the runtime takes the processors that it finds")
        return
    threads = max(1, int(spec.resources.cpu // instances))
    config.parameters[_THREADS].string_value = str(threads)
    share = f"{format_processors(spec.resources.cpu)} processors"
    share += f" for {instances} instances" if instances > 1 else ""
    reasons.asked(path, threads, f"resources.cpu: {share}")


def _fill_graph_level(config: Any, facts: ModelFacts, spec: ServiceSpec, reasons: Reasons) -> None:
    asked, path = spec.server.graph_optimization, "optimization.graph.level"
    if facts.backend != "onnxruntime":
        if asked is not None:
            raise UsageError(
                "repository.graph_optimization",
                "server.graph_optimization is set, and this model is not served by ONNX Runtime.",
                hint="Remove it.",
            )
        return
    if asked is None:
        reasons.default(path, "all", "ONNX Runtime's own default: all of its graph optimisations")
        return
    if asked in _GRAPH_LEVELS:
        config.optimization.graph.level = _GRAPH_LEVELS[asked]
    reasons.asked(path, asked, "server.graph_optimization")


def _check_parameters(parameters: dict[str, str], reasons: Reasons) -> None:
    for key, value in parameters.items():
        kind = _ONNXRUNTIME.get(key)
        if kind is None:
            close = difflib.get_close_matches(key, _ONNXRUNTIME, n=1)
            reasons.find(
                Severity.WARNING,
                "parameter",
                f"The ONNX Runtime backend reads no parameter {key}.",
                f"Did you mean {close[0]}?" if close else "It is passed on all the same.",
            )
            continue
        fits = {_NUMBER: value.isascii() and value.isdigit(), _SWITCH: value in {"0", "1"}}
        if not fits.get(kind, True):
            raise UsageError(
                "repository.parameter",
                f"server.parameters.{key} is {value!r}, and must be {kind}.",
                hint="Correct it, or remove it to get the runtime's default.",
            )


def _note_unread(parameters: dict[str, str], reasons: Reasons) -> None:
    for key in parameters:
        reasons.find(
            Severity.WARNING,
            "parameter",
            f"The parameter {key} is written down, and nothing that serves this model reads it.",
            "Remove it from server.parameters.",
        )


def _check_memory(facts: ModelFacts, spec: ServiceSpec, instances: int, reasons: Reasons) -> None:
    needed, given = facts.memory_bytes, spec.resources.memory
    if needed is None or given is None or needed * instances <= given:
        return
    copies = f"{instances} instances need" if instances > 1 else "the model needs"
    reasons.find(
        Severity.WARNING,
        "memory",
        f"resources.memory is {size_text(given)}, and {copies} about "
        f"{size_text(needed * instances)}.",
        "Raise resources.memory, or lower instances.",
    )
