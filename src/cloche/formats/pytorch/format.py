"""The PyTorch format: one file, or a folder of timm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats import weight_files
from cloche.formats.format import Lookalike, ModelFiles
from cloche.formats.one_file import OneFile
from cloche.formats.pytorch import timm
from cloche.formats.pytorch.archive import contents, is_one, is_safetensors
from cloche.formats.pytorch.variants import TIMM, VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.formats.variant import Variant
    from cloche.store import Store

ENTRY = "model.pt"


class PyTorchFormat(OneFile):
    """Files of PyTorch; implements `cloche.formats.Format`."""

    name = ModelFormat.PYTORCH
    entry = ENTRY
    title = "files of PyTorch"
    marked = True
    lookalikes: tuple[Lookalike, ...] = (
        Lookalike(
            "a file that is named like one of PyTorch, but nothing that PyTorch saves",
            "save the model again: torch.export.save(torch.export.export(model, (example,)), FILE)",
            suffixes=(".pt", ".pth", ".ckpt", ".pt2"),
        ),
    )
    variants: tuple[Variant, ...] = (*dict.fromkeys(VARIANTS.values()), TIMM)

    def detect(self, path: Path) -> bool:
        """Return whether a path is a file that PyTorch wrote, safetensors, or a folder of timm."""
        return (path.is_file() and is_one(path)) or timm.weights_at(path) is not None

    def files(self, path: Path, store: Store) -> ModelFiles:
        """Return the file under the format's own name; of timm, the configuration and weights."""
        weights = timm.weights_at(path)
        if weights is not None:
            settings = weights.with_name(weight_files.CONFIGURATION)
            name = weight_files.usual(weights.name)
            return ModelFiles(".", {settings.name: settings, name: weights})
        if is_safetensors(path):
            return ModelFiles(weight_files.NAMES[0], {weight_files.NAMES[0]: path})
        return super().files(path, store)

    def variant(self, path: Path) -> Variant | None:
        """Return the variant by what the archive holds, or the folder is."""
        if timm.weights_at(path) is not None:
            return TIMM
        held = contents(path)
        return VARIANTS[held.kind] if held is not None else None

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return what the file tells without being loaded."""
        from cloche.formats.pytorch.inspection import OF_TIMM, inspect_file

        if snapshot.entry == ".":
            return timm.inspect(snapshot, root, options, OF_TIMM)
        return inspect_file(snapshot, root / snapshot.entry, options)
