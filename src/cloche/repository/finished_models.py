"""The models of a finished repository, read from its files as Triton would read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError
from cloche.repository.messages import messages, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIG = "config.pbtxt"
ENSEMBLE = "ensemble"
_PLATFORMS = {
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "pytorch_libtorch": "pytorch",
    "tensorflow_savedmodel": "tensorflow",
    "tensorflow_graphdef": "tensorflow",
    "ensemble": ENSEMBLE,
}
_FILENAMES = {
    "model.onnx": "onnxruntime",
    "model.py": "python",
    "model.plan": "tensorrt",
    "model.pt": "pytorch",
    "model.xml": "openvino",
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.json": "vllm",
}
_DEFAULT_FILENAMES = {"onnxruntime": "model.onnx", "python": "model.py"}


@dataclass(frozen=True, slots=True)
class FinishedModel:
    """One model folder: its parsed configuration and what stands in its version folders."""

    name: str
    config: Any
    """A ModelConfig; empty where the folder has no config.pbtxt, which Triton then completes."""
    versions: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """By version number, the paths of the files in its folder."""
    files: frozenset[str] = frozenset()
    """All files, by path in the model's folder."""

    @property
    def where(self) -> str:
        """Return the path of the configuration in the repository."""
        return f"{self.name}/{CONFIG}"

    @property
    def backend(self) -> str:
        """Return the backend as Triton finds it: named, by platform, or by the model's file."""
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
        """Return the model's file in its version folder, None where the backend needs none."""
        named = str(self.config.default_model_filename)
        return named or _DEFAULT_FILENAMES.get(self.backend)

    @property
    def served_versions(self) -> tuple[int, ...]:
        """Return the versions that the version policy picks (the newest one by default)."""
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
        """Return the steps of an ensemble, none for another model."""
        return tuple(self.config.ensemble_scheduling.step)


def read_models(
    paths: tuple[str, ...], read: Callable[[str], bytes]
) -> tuple[list[FinishedModel], list[str], list[UsageError]]:
    """Return the models by name, the folders that are none, and the configurations that fail.

    `paths` are those of all files of the repository; `read` returns the bytes of one.
    """
    folders: dict[str, set[str]] = {}
    for path in paths:
        first, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(first, set()).add(rest)
    models: list[FinishedModel] = []
    others: list[str] = []
    errors: list[UsageError] = []
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
    return models, others, errors


def _versions(files: set[str]) -> dict[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for path in files:
        first, slash, rest = path.partition("/")
        if slash and first.isascii() and first.isdigit() and str(int(first)) == first:
            found.setdefault(int(first), set()).add(rest)
    return {version: frozenset(held) for version, held in found.items() if version > 0}
