"""The format of transformers and sentence-transformers: a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats import weight_files
from cloche.formats.folders import list_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.one_file import WithoutMetadata
from cloche.formats.pytorch import timm
from cloche.formats.transformers import refusals, weights
from cloche.formats.transformers.folder import identify, looks_like, understand
from cloche.formats.transformers.variants import NETWORK, REFUSED, SENTENCES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.errors import ClocheError
    from cloche.formats.variant import Variant
    from cloche.store import Store

ENTRY = "."


class TransformersFormat(WithoutMetadata):
    """Folders that `save_pretrained` writes; implements `cloche.formats.Format` and `Foresight`."""

    name = ModelFormat.TRANSFORMERS
    entry = ENTRY
    title = "folders of transformers and sentence-transformers"
    marked = True
    lookalikes: tuple[Lookalike, ...] = (
        Lookalike(
            "a damaged file of weights: its safetensors header does not describe its bytes",
            "download or save it again", suffixes=(".safetensors",), code="damaged",
        ),
        Lookalike(
            "a language model in the GGUF format",
            "serve it with llama.cpp until a later version does",
            suffixes=(".gguf",), starts=(b"GGUF",),
        ),
    )  # fmt: skip
    variants: tuple[Variant, ...] = (NETWORK, SENTENCES)
    refused: tuple[ClocheError, ...] = REFUSED

    def detect(self, path: Path) -> bool:
        """Return whether a path is a folder of Hugging Face's libraries, or the weights in one.

        An export to ONNX at the top or in `onnx/` is what is served where it is the whole model, or
        all that there is.
        """
        if timm.weights_at(path) is not None:
            return False
        if path.is_file():
            return weight_files.is_weights(path.name) and _is_configured(path.parent)
        names = weight_files.listed(path)
        if weight_files.is_exported(names):
            return False
        return looks_like(names) or _is_configured(path)

    def variant(self, path: Path) -> Variant:
        """Return the variant by the files of a folder."""
        return SENTENCES if weight_files.MODULES in weight_files.listed(path) else NETWORK

    def foresee(
        self, settings: Mapping[str, Path], names: Collection[str], where: str, *, trust: bool
    ) -> None:
        """Refuse a model that its settings show not to be served; raises ClocheError as `files`.

        Without `trust` one with code of its own is refused, too.
        """
        known = identify(settings, {name for name in names if "/" not in name}, where)
        if known.code and not trust:
            raise refusals.of_code(known.code, names, where)

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the files that serving needs: settings, tokenizer, one kind of weights.

        Where a path is a file, those are the weights.
        """
        folder, wanted = (path.parent, path.name) if path.is_file() else (path, None)
        understood = understand(list_files(folder), str(folder), wanted)
        weights.elements({name: understood.files[name] for name in understood.weights}, str(path))
        return ModelFiles(ENTRY, understood.files)

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a folder holds one model
    ) -> ModelFacts:
        """Return what the folder tells without being loaded."""
        from cloche.formats.transformers.inspection import inspect_folder

        files = {entry.path: root / entry.path for entry in snapshot.files}
        return inspect_folder(snapshot, files, "", options)


def _is_configured(folder: Path) -> bool:
    """Return whether config.json names a model of transformers: others have a file so called."""
    from cloche.formats.transformers import documents

    path = folder / weight_files.CONFIGURATION
    return path.is_file() and "architectures" in documents.mapping(path, str(folder))
