"""Checks of a finished repository, made before a server is started."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import DATATYPES, ENVIRONMENT_PARAMETER, Finding, Severity
from cloche.errors import UsageError
from cloche.formats.triton import outside
from cloche.model_config.names import CONFIG, ENSEMBLE, MODEL_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from cloche.model_config.finished import FinishedModel


def errors_of(
    model: FinishedModel, models: dict[str, FinishedModel], served: Collection[str]
) -> Iterator[UsageError]:
    """Yield the errors that keep a model from loading; `served` are the known backends."""
    if model.config.name and model.config.name != model.name:
        yield _error(
            "name",
            f"The configuration is for {model.config.name!r}, and its folder is {model.name!r}.",
            model.where,
            "Triton requires the same name: rename one.",
        )
    yield from _backend_errors(model, served)
    yield from _tensor_errors(model)
    if model.backend == ENSEMBLE:
        yield from _ensemble_errors(model, models)
    else:
        yield from _version_errors(model, served)
    yield from outside.errors_of(model)
    yield from _environment_errors(model)


def _backend_errors(model: FinishedModel, served: Collection[str]) -> Iterator[UsageError]:
    if not model.backend:
        choices = " or ".join(f'backend: "{name}"' for name in served)
        yield _error(
            "backend",
            f"{model.name} does not name its backend.",
            model.where,
            f"Write {choices} in its config.pbtxt.",
        )
    elif model.backend not in {*served, ENSEMBLE}:
        yield _error(
            "backend",
            f"{model.name} needs the backend {model.backend}, which this version does not serve.",
            model.where,
            f"The backends served are {', '.join(served)} and ensembles of them; a model in "
            "another format can be exported to ONNX.",
        )


def _tensor_errors(model: FinishedModel) -> Iterator[UsageError]:
    known = {datatype.config for datatype in DATATYPES.values()}
    config = model.config
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for tensor in tensors:
            name = type(config).DESCRIPTOR.file.enum_types_by_name["DataType"]
            datatype = name.values_by_number.get(tensor.data_type)
            if datatype is None or datatype.name not in known or not tensor.name:
                what = f"The {kind} {tensor.name or 'without a name'} has no data type."
                hint = "Write its name, data_type and dims, or leave it out for Triton to complete."
                yield _error("tensor", what, model.where, hint)


def _version_errors(model: FinishedModel, served: Collection[str]) -> Iterator[UsageError]:
    if not model.versions:
        yield _error(
            "versions",
            f"{model.name} has no version folder.",
            model.name,
            f"Put the model's files in {model.name}/1/.",
        )
    filename = model.filename
    for version in model.served_versions:
        held = model.versions.get(version)
        folder = f"{model.name}/{version}"
        if held is None:
            what = (
                f"The version policy of {model.name} names version {version}, which does not exist."
            )
            yield _error("versions", what, model.where, f"Add {folder}/, or correct the policy.")
        elif filename is not None and model.backend in served and not _holds(held, filename):
            what = f"Version {version} of {model.name} has no {filename}."
            hint = "Add the file, or name another with default_model_filename."
            yield _error("file", what, f"{folder}/{filename}", hint)


def _holds(files: frozenset[str], name: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") for path in files)


def _ensemble_errors(
    model: FinishedModel, models: dict[str, FinishedModel]
) -> Iterator[UsageError]:
    if not model.steps:
        hint = "Write its steps, or the backend that serves it."
        yield _error("ensemble", f"The ensemble {model.name} has no steps.", model.where, hint)
    for step in model.steps:
        member = models.get(step.model_name)
        if member is None:
            known = ", ".join(sorted(set(models) - {model.name})) or "none"
            what = f"The ensemble {model.name} uses {step.model_name!r}, which is not here."
            hint = f"The other models here are {known}."
            yield _error("ensemble", what, model.where, hint)
            continue
        # An omitted version is 0; Triton looks for it and does not find it.
        version = step.model_version
        known_versions = member.versions if member.backend != ENSEMBLE else (version,)
        if version == 0 or (version > 0 and version not in known_versions):
            what = f"The ensemble {model.name} uses version {version} of {member.name}."
            held = ", ".join(map(str, sorted(member.versions))) or "none"
            hint = f"Write model_version: -1 for the newest; its versions are {held}."
            yield _error("ensemble", what, model.where, hint)
        for kind, mapped, declared in (
            ("input", step.input_map, member.config.input),
            ("output", step.output_map, member.config.output),
        ):
            names = {tensor.name for tensor in declared}
            for name in sorted(set(mapped) - names if names else ()):
                what = f"The ensemble {model.name} maps the {kind} {name!r} of {member.name}."
                hint = f"Its {kind}s are {', '.join(sorted(names))}."
                yield _error("ensemble", what, model.where, hint)


def _environment_errors(model: FinishedModel) -> Iterator[UsageError]:
    value = model.environment
    if value is None or not value.startswith(MODEL_DIRECTORY) or model.requirement_files:
        return
    path = str(PurePosixPath(value.removeprefix(MODEL_DIRECTORY)))
    if not model.holds(path):
        yield _error(
            "environment",
            f"{model.name} runs in the environment {path}, which is not in its folder.",
            model.where,
            "Put the environment (such as a conda-pack archive) there, or put a requirements.txt "
            f"beside the {CONFIG} and remove the parameter, so that Cloche makes it.",
        )


def findings_of(model: FinishedModel) -> Iterator[Finding]:
    """Yield findings about a model that loads."""
    config = model.config
    for key, parameter in sorted(config.parameters.items()):
        if parameter.string_value.startswith("/") and key != ENVIRONMENT_PARAMETER:
            yield Finding(
                Severity.WARNING,
                "repository.absolute_path",
                f"The parameter {key} is an absolute path, {parameter.string_value}: the "
                "repository works only where that path exists.",
                model.where,
                f"Write a path that begins with {MODEL_DIRECTORY}. In a home or a temporary folder,"
                " `sandbox.read` in cloche.yaml has to name it, too.",
            )
    if model.needs_gpu:
        yield Finding(
            Severity.WARNING,
            "repository.gpu",
            f"{model.name} asks for a GPU; it does not load on a machine without one.",
            model.where,
            "Write kind: KIND_AUTO to serve with and without one.",
        )
    if config.model_transaction_policy.decoupled:
        yield Finding(
            Severity.NOTE,
            "repository.decoupled",
            f"{model.name} answers with streams: over gRPC, `cloche infer`, or Client.stream.",
            model.where,
        )


def folder_findings(others: Iterable[str]) -> Iterator[Finding]:
    """Yield a warning for each folder without a model."""
    for name in others:
        yield Finding(
            Severity.WARNING,
            "repository.folder",
            f"The folder {name} is not a model: it has neither a {CONFIG} nor a version folder.",
            name,
            "Move it out of the repository: Triton tries to load every folder there.",
        )


def _error(code: str, what: str, where: str, hint: str) -> UsageError:
    return UsageError(f"repository.{code}", what, where=where, hint=hint)
