"""A finished Triton repository: kept byte for byte, with its names, and checked before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    FileEntry,
    Finding,
    ModelFacts,
    ModelFormat,
    Severity,
    TensorSpec,
)
from cloche.errors import ErrorGroup, UsageError
from cloche.repository.finished_checks import errors_of, findings_of, folder_findings
from cloche.repository.finished_models import ENSEMBLE, FinishedModel, read_models
from cloche.repository.messages import DATATYPES
from cloche.spec import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from cloche.spec import ServiceSpec

PLACEHOLDER = ".keep"
_PROTOCOL_NAMES = {long: short for short, long in DATATYPES.items()}
_COMPLETED_BATCH = 4
"""max_batch_size that Triton's ONNX Runtime backend completes (default-max-batch-size)."""


@dataclass(frozen=True, slots=True)
class FinishedRepository:
    """The models of a repository that is ready to be served."""

    models: tuple[FinishedModel, ...]
    findings: tuple[Finding, ...]

    def names(self, main: FinishedModel) -> tuple[str, ...]:
        """Return the names of all models, the one that answers first."""
        return (main.name, *(model.name for model in self.models if model is not main))


def read(snapshot: ModelSnapshot, load: Callable[[str], bytes]) -> FinishedRepository:
    """Read and check a repository; `load` returns the bytes of a file by its path in it.

    Raises ErrorGroup `repository.finished` with everything that keeps a model from loading.
    """
    paths = tuple(entry.path for entry in snapshot.files)
    models, others, errors = read_models(paths, load)
    by_name = {model.name: model for model in models}
    for model in models:
        errors.extend(errors_of(model, by_name))
    if not models and not errors:
        hint = "A repository holds a folder per model, with config.pbtxt and the folder 1 in it."
        errors.append(UsageError("repository.empty", "No model is in the repository.", hint=hint))
    if errors:
        count = "one mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        what = f"The Triton repository {snapshot.reference} has {count}."
        raise ErrorGroup("repository.finished", what, errors)
    findings = [finding for model in models for finding in findings_of(model)]
    return FinishedRepository(tuple(models), (*findings, *folder_findings(others)))


def main_model(repository: FinishedRepository, service: str | None) -> FinishedModel | None:
    """Return the model that answers for a service, None where that cannot be told.

    It is the one with the service's name, else the only one, else the only one that is not a step
    of an ensemble.
    """
    models = repository.models
    steps = {step.model_name for model in models for step in model.steps}
    candidates = (
        [model for model in models if model.name == service],
        [model for model in models if names.corrected(model.name) == service],
        list(models),
        [model for model in models if model.name not in steps],
    )
    return next((found[0] for found in candidates if len(found) == 1), None)


def chosen(repository: FinishedRepository, service: str) -> FinishedModel:
    """Return `main_model`, or raise UsageError `repository.ambiguous` that says what to do."""
    main = main_model(repository, service)
    if main is None:
        listed = ", ".join(model.name for model in repository.models)
        raise UsageError(
            "repository.ambiguous",
            f"The repository holds several models ({listed}) and none is called {service}.",
            hint="Name the service after the model that answers: --name NAME, or name: in the "
            "cloche.yaml.",
        )
    return main


def facts(
    snapshot: ModelSnapshot,
    path: Path,
    *,
    service: str | None = None,
    inspect_onnx: Callable[[Path], ModelFacts] | None = None,
) -> ModelFacts:
    """Return the facts of a finished repository whose tree stands at `path`.

    They are those of the model that answers for `service`; without a name, and where several could,
    inputs and outputs stay empty and a finding says so. `inspect_onnx` is asked where a
    config.pbtxt leaves the inputs and outputs of an ONNX model for Triton to complete.
    """
    repository = read(snapshot, lambda name: (path / name).read_bytes())
    main = main_model(repository, service)
    findings = repository.findings
    if main is None:
        what = "Several models could answer for the service."
        hint = "Name the service after the one that should: --name NAME."
        findings = (*findings, Finding(Severity.NOTE, "repository.ambiguous", what, hint=hint))
    shapes = _shapes(main, path, inspect_onnx) if main else _Shapes((), (), 0)
    listed = ", ".join(f"{model.name}: {model.backend}" for model in repository.models)
    return ModelFacts(
        format=ModelFormat.TRITON,
        framework=f"triton ({listed})",
        backend=main.backend if main else "",
        inputs=shapes.inputs,
        outputs=shapes.outputs,
        batch=BatchAxis(
            present=shapes.max_batch_size > 0,
            certainty=Certainty.CERTAIN if main else Certainty.UNKNOWN,
            why=f"its config.pbtxt says max_batch_size: {shapes.max_batch_size}",
        ),
        size_bytes=snapshot.size,
        memory_bytes=None,
        findings=findings,
    )


def refuse_settings(spec: ServiceSpec) -> None:
    """Raise UsageError `repository.kept` for settings that a finished repository has itself."""
    asked = [key for key in ("batching", "instances", "server") if key in spec.served()]
    if asked:
        keys = " and ".join(asked)
        raise UsageError(
            "repository.kept",
            f"{keys} cannot be set for a finished repository, which is kept byte for byte.",
            hint="Change it in the model's config.pbtxt, and remove it here.",
        )


def max_batch_size(main: FinishedModel, known: ModelFacts) -> int:
    """Return the largest batch, as configured or as Triton's ONNX backend completes it."""
    configured = int(main.config.max_batch_size)
    complete = bool(main.config.input) and bool(main.config.output)
    if configured or complete or main.backend != "onnxruntime" or not known.batch.present:
        return configured
    return _COMPLETED_BATCH


def files_of(
    snapshot: ModelSnapshot, repository: FinishedRepository, empty: str
) -> tuple[FileEntry, ...]:
    """Return the repository's files, with a version folder for each ensemble that has none.

    Triton wants one and it is empty, so that it is in no list of files; `empty` is the digest of
    the empty file that stands in it.
    """
    added = [
        FileEntry(f"{model.name}/{version}/{PLACEHOLDER}", 0, empty)
        for model in repository.models
        if model.backend == ENSEMBLE and not model.versions
        for version in (model.served_versions or (1,))
    ]
    return tuple(sorted((*snapshot.files, *added), key=lambda file: file.path))


def declared(config: Any, side: str) -> tuple[TensorSpec, ...]:
    """Return the `input`s or `output`s of a ModelConfig as a client sees them.

    The batch axis is in them as -1; they are empty where Triton completes the configuration.
    """
    found = []
    for tensor in getattr(config, side):
        values = type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
        shape = ((-1,) if config.max_batch_size > 0 else ()) + tuple(tensor.dims)
        datatype = _PROTOCOL_NAMES[values[tensor.data_type].name]
        optional = bool(getattr(tensor, "optional", False))
        found.append(TensorSpec(tensor.name, datatype, shape, optional=optional))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Shapes:
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int


def _shapes(
    main: FinishedModel, path: Path, inspect_onnx: Callable[[Path], ModelFacts] | None
) -> _Shapes:
    batch = int(main.config.max_batch_size)
    inputs, outputs = declared(main.config, "input"), declared(main.config, "output")
    incomplete = not inputs or not outputs
    if incomplete and main.backend == "onnxruntime" and inspect_onnx is not None:
        version = main.served_versions[-1]
        known = inspect_onnx(path / main.name / str(version) / str(main.filename))
        completed = batch or (_COMPLETED_BATCH if known.batch.present else 0)
        return _Shapes(inputs or known.inputs, outputs or known.outputs, completed)
    return _Shapes(inputs, outputs, batch)
