"""The facts of a finished repository: those of the model that answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import BatchAxis, Certainty, Finding, ModelFacts, ModelFormat, Severity
from cloche.errors import ErrorGroup, UsageError
from cloche.formats.triton import agreement, environment, libtorch
from cloche.formats.triton.checks import errors_of, findings_of, folder_findings
from cloche.model_config.finished import FinishedRepository, declared, read_repository

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot, TensorSpec
    from cloche.formats.triton.completion import Completion
    from cloche.model_config.finished import FinishedModel


def facts(
    snapshot: ModelSnapshot,
    path: Path,
    service: str | None = None,
    *,
    served: Collection[str],
    completions: Mapping[str, Completion],
) -> ModelFacts:
    """Return the facts of the finished repository at `path`.

    They are those of the model that answers for `service`. Without a service, if several models
    could answer, inputs and outputs stay empty and a finding says so.
    """
    repository, findings = _check(snapshot, path, served, completions)
    declared = environment.declared(repository.models, path)
    findings += declared.findings
    main = repository.main_model(service)
    if main is None:
        what = "Several models could answer for the service."
        hint = "Name the service after the one that should: --name NAME."
        findings = (*findings, Finding(Severity.NOTE, "repository.ambiguous", what, hint=hint))
    shapes = _shapes(main, path, completions, snapshot.pinned) if main else _Shapes((), (), 0)
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
        python=declared.python,
        requirements=declared.requirements,
        loading=libtorch.loading(main) if main else None,
        findings=findings,
    )


def _check(
    snapshot: ModelSnapshot,
    path: Path,
    served: Collection[str],
    completions: Mapping[str, Completion],
) -> tuple[FinishedRepository, tuple[Finding, ...]]:
    """Read a repository; raises ErrorGroup with every error that keeps a model from loading."""
    paths = tuple(entry.path for entry in snapshot.files)
    repository, errors = read_repository(paths, lambda name: (path / name).read_bytes())
    models = repository.models
    by_name = {model.name: model for model in models}
    for model in models:
        wrong = list(errors_of(model, by_name, served))
        errors += wrong or [
            *libtorch.errors_of(model, path),
            *agreement.errors_of(model, path, completions),
        ]
    if not models and not errors:
        hint = "A repository has a folder per model, with config.pbtxt and the folder 1 in it."
        errors.append(UsageError("repository.empty", "The repository has no models.", hint=hint))
    if errors:
        count = "one mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        what = f"The Triton repository {snapshot.reference} has {count}."
        raise ErrorGroup("repository.finished", what, errors)
    findings = [finding for model in models for finding in findings_of(model)]
    return repository, (*findings, *folder_findings(repository.others))


@dataclass(frozen=True, slots=True)
class _Shapes:
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int


def _shapes(
    main: FinishedModel, path: Path, completions: Mapping[str, Completion], pinned: str
) -> _Shapes:
    batch = int(main.config.max_batch_size)
    inputs, outputs = declared(main.config, "input"), declared(main.config, "output")
    completion = completions.get(main.backend)
    if (inputs and outputs) or completion is None:
        return _Shapes(inputs, outputs, batch)
    version = main.served_versions[-1]
    file = f"{main.name}/{version}/{main.filename}"
    known = completion.inspect(path / file, f"{pinned}/{file}")
    completed = batch or (completion.max_batch_size if known.batch.present else 0)
    required = tuple(spec for spec in known.inputs if not spec.optional)
    return _Shapes(inputs or required, outputs or known.outputs, completed)
