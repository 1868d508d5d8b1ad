"""The format of Triton's model repository: a folder of models, or the folder of one model."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.folders import list_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.lookalikes import visible
from cloche.formats.one_file import WithoutMetadata
from cloche.formats.variant import EXAMPLE, From, Served, Variant
from cloche.model_config.names import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.formats.triton.completion import ServedBackends
    from cloche.store import Store

_FOR_LIBTORCH = re.compile(rb'^\s*(platform|backend)\s*:\s*"pytorch(_libtorch)?"', re.MULTILINE)
_NAME = re.compile(r'^\s*name\s*:\s*"([^"]+)"', re.MULTILINE)

LOOKALIKES = (
    Lookalike(
        "a Triton configuration, not the model",
        "name the folder of the model or the repository", suffixes=(".pbtxt",),
    ),
    Lookalike(
        "a TensorRT engine, which Cloche does not serve alone",
        "put it into a Triton model repository with its config.pbtxt",
        suffixes=(".plan", ".engine"),
    ),
)  # fmt: skip

_SOURCES = (From.FOLDER, From.HUB)
_REPOSITORY = Variant(
    "triton", "a finished Triton repository: onnxruntime, python, ensembles",
    "MODEL/config.pbtxt, MODEL/1/model.onnx", _SOURCES, Served.REPOSITORY, (EXAMPLE,),
)  # fmt: skip
_LIBTORCH = Variant(
    "triton-libtorch", "a finished repository for libtorch",
    'platform: "pytorch_libtorch", MODEL/1/model.pt', _SOURCES, Served.REPOSITORY, (EXAMPLE,),
)  # fmt: skip


class TritonFormat(WithoutMetadata):
    """Finished Triton repositories; implements `cloche.formats.Format`.

    `served` is called only when a repository is inspected.
    """

    name = ModelFormat.TRITON
    entry = "."
    title = "Triton model repositories"
    marked = True
    lookalikes: tuple[Lookalike, ...] = LOOKALIKES
    variants: tuple[Variant, ...] = (_REPOSITORY, _LIBTORCH)

    def __init__(self, served: Callable[[], ServedBackends]) -> None:
        self._served = served

    def detect(self, path: Path) -> bool:
        """Return whether a path is a model's folder, or a folder with one in it."""
        return is_model(path) or any(is_model(path / name) for name in visible(path))

    def variant(self, path: Path) -> Variant:
        """Return the variant by the backend that a config.pbtxt names."""
        configs = [path / CONFIG, *sorted(path.glob(f"*/{CONFIG}"))]
        named = [each.read_bytes() for each in configs if each.is_file()]
        return _LIBTORCH if any(map(_FOR_LIBTORCH.search, named)) else _REPOSITORY

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the whole repository; a single model becomes a repository."""
        prefix = f"{_model_name(path)}/" if is_model(path) else ""
        return ModelFiles(
            self.entry, {prefix + name: file for name, file in list_files(path).items()}
        )

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,  # noqa: ARG002 - its config.pbtxt says all
        *,
        service: str | None = None,
    ) -> ModelFacts:
        """Return the facts of the model that answers for `service`."""
        from cloche.formats.triton.facts import facts

        served = self._served()
        return facts(snapshot, root, service, served=served.names, completions=served.completions)


def is_model(folder: Path) -> bool:
    """Return whether a folder is a model of a Triton repository, with or without its config."""
    if not folder.is_dir():
        return False
    if (folder / CONFIG).is_file():
        return True
    return any(
        version.name.isdigit() and version.is_dir() and any(version.glob("model.*"))
        for version in folder.iterdir()
    )


def _model_name(folder: Path) -> str:
    """Return the required name of a model folder: that in its config, else its own."""
    try:
        match = _NAME.search((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        match = None
    name = match[1] if match else folder.resolve().name
    return PurePosixPath(name).name or "model"
