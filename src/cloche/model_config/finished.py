"""The models of a finished repository, read from its files as Triton reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES, ENVIRONMENT_PARAMETER, TensorSpec
from cloche.errors import ClocheError, UsageError
from cloche.model_config.messages import messages, parse
from cloche.model_config.names import (
    CONFIG,
    ENSEMBLE,
    ENVIRONMENT,
    ONNX_FILE,
    OWN_ENVIRONMENT,
    PYTHON_FILE,
    REQUIREMENTS_FILE,
    STUB_FILE,
)
from cloche.spec.names import corrected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLATFORMS = {
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "pytorch_libtorch": "pytorch",
    "tensorflow_savedmodel": "tensorflow",
    "tensorflow_graphdef": "tensorflow",
    "ensemble": ENSEMBLE,
}
_FILENAMES = {
    ONNX_FILE: "onnxruntime",
    PYTHON_FILE: "python",
    "model.plan": "tensorrt",
    "model.pt": "pytorch",
    "model.xml": "openvino",
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.json": "vllm",
}
"""Names of a model's file by which Triton infers a backend that no configuration names."""
_OF_PYTHON = frozenset({"python", "pytorch"})
"""The backends here that run Python code."""
_PROTOCOL_NAMES = {datatype.config: name for name, datatype in DATATYPES.items()}


@dataclass(frozen=True, slots=True)
class FinishedModel:
    """One model folder: its parsed configuration and the files in its version folders."""

    name: str
    config: Any
    """A ModelConfig; empty if the folder has no config.pbtxt, and then completed by Triton."""
    versions: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """Paths of the files in each version folder, by version number."""
    files: frozenset[str] = frozenset()
    """All files, by path in the model's folder."""

    @property
    def where(self) -> str:
        """Return the path of the configuration in the repository."""
        return f"{self.name}/{CONFIG}"

    @property
    def backend(self) -> str:
        """Return the backend as Triton infers it: by name, by platform, or by the model's file."""
        if self.config.backend:
            return str(self.config.backend)
        if self.config.platform:
            return _PLATFORMS.get(self.config.platform, str(self.config.platform))
        if self.config.HasField("ensemble_scheduling"):
            return ENSEMBLE
        files = {PurePosixPath(path).parts[0] for held in self.versions.values() for path in held}
        named = (
            {self.config.default_model_filename} if self.config.default_model_filename else files
        )
        return next((_FILENAMES[name] for name in sorted(named) if name in _FILENAMES), "")

    @property
    def filename(self) -> str | None:
        """Return the model's file in its version folder, None if the backend needs no file."""
        named = str(self.config.default_model_filename)
        default = (name for name, backend in _FILENAMES.items() if backend == self.backend)
        return named or next(default, None)

    @property
    def served_versions(self) -> tuple[int, ...]:
        """Return the versions that the version policy picks (default: the newest)."""
        policy = self.config.version_policy
        choice = policy.WhichOneof("policy_choice")
        if choice == "specific":
            return tuple(sorted(policy.specific.versions))
        if choice == "all":
            return tuple(sorted(self.versions))
        count = policy.latest.num_versions if choice == "latest" else 1
        return tuple(sorted(self.versions)[-(count or 1) :])

    @property
    def steps(self) -> tuple[Any, ...]:
        """Return the steps of an ensemble; empty for other models."""
        return tuple(self.config.ensemble_scheduling.step)

    @property
    def needs_gpu(self) -> bool:
        """Return whether some of its instances run on a GPU alone."""
        groups = self.config.instance_group
        return any(group.kind == group.Kind.Value("KIND_GPU") for group in groups)

    @property
    def environment(self) -> str | None:
        """Return the environment that the configuration names, None if it names none."""
        parameters = self.config.parameters
        named = ENVIRONMENT_PARAMETER in parameters
        return str(parameters[ENVIRONMENT_PARAMETER].string_value) if named else None

    @property
    def requirement_files(self) -> tuple[str, ...]:
        """Return the model's files of requirements, by path in its folder.

        Empty for a model that is no Python code, or brings its environment or stub.
        """
        brings = self._brings_environment
        if self.backend not in _OF_PYTHON or brings or STUB_FILE in self.files:
            return ()
        versions = [f"{version}/{REQUIREMENTS_FILE}" for version in self.served_versions]
        own = [REQUIREMENTS_FILE] if REQUIREMENTS_FILE in self.files else versions
        return tuple(path for path in own if path in self.files)

    @property
    def gets_environment(self) -> bool:
        """Return whether its environment is made: from its requirements, or for its framework."""
        return bool(self.requirement_files) or (
            self.backend == "pytorch" and not self._brings_environment
        )

    @property
    def _brings_environment(self) -> bool:
        return self.environment not in {None, OWN_ENVIRONMENT} or self.holds(ENVIRONMENT)

    def holds(self, name: str) -> bool:
        """Return whether the model's folder has a file or folder of this path."""
        return any(path == name or path.startswith(f"{name}/") for path in self.files)


@dataclass(frozen=True, slots=True)
class FinishedRepository:
    """The models of a repository by name, and its folders that are not models."""

    models: tuple[FinishedModel, ...]
    others: tuple[str, ...] = ()

    def main_model(self, service: str | None) -> FinishedModel | None:
        """Return the model that answers for a service, None if ambiguous.

        This is the model with the service's name, else the only model, else the only model that is
        not a step of an ensemble.
        """
        steps = {step.model_name for model in self.models for step in model.steps}
        candidates = (
            [model for model in self.models if model.name == service],
            [model for model in self.models if corrected(model.name) == service],
            list(self.models),
            [model for model in self.models if model.name not in steps],
        )
        return next((models[0] for models in candidates if len(models) == 1), None)

    def names(self, main: FinishedModel) -> tuple[str, ...]:
        """Return the names of all models, `main` first."""
        return (main.name, *(model.name for model in self.models if model is not main))


def read_repository(
    paths: tuple[str, ...], read: Callable[[str], bytes]
) -> tuple[FinishedRepository, list[ClocheError]]:
    """Return a repository, and an error for each unreadable configuration.

    `paths` lists all files of the repository; `read` returns the bytes of a file.
    """
    folders: dict[str, set[str]] = {}
    for path in paths:
        first, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(first, set()).add(rest)
    models: list[FinishedModel] = []
    others: list[str] = []
    errors: list[ClocheError] = []
    for name, files in sorted(folders.items()):
        versions = _versions(files)
        if not versions and CONFIG not in files:
            others.append(name)
            continue
        config = messages().ModelConfig()
        if CONFIG in files:
            try:
                config = parse(read(f"{name}/{CONFIG}"), f"{name}/{CONFIG}")
            except UsageError as error:
                errors.append(error)
                continue
        models.append(FinishedModel(name, config, versions, frozenset(files)))
    return FinishedRepository(tuple(models), tuple(others)), errors


def declared(config: Any, side: str) -> tuple[TensorSpec, ...]:
    """Return the `input`s or `output`s of a ModelConfig as clients see them.

    The batch axis is included as -1. Empty if Triton completes the configuration.
    """
    specs = []
    for tensor in getattr(config, side):
        values = type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
        shape = ((-1,) if config.max_batch_size > 0 else ()) + tuple(tensor.dims)
        datatype = _PROTOCOL_NAMES[values[tensor.data_type].name]
        optional = bool(getattr(tensor, "optional", False))
        specs.append(TensorSpec(tensor.name, datatype, shape, optional=optional))
    return tuple(specs)


def _versions(files: set[str]) -> dict[int, frozenset[str]]:
    versions: dict[int, set[str]] = {}
    for path in files:
        first, slash, rest = path.partition("/")
        if slash and first.isascii() and first.isdigit() and str(int(first)) == first:
            versions.setdefault(int(first), set()).add(rest)
    return {version: frozenset(held) for version, held in versions.items() if version > 0}
