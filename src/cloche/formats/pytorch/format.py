"""The PyTorch format: one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.format import Lookalike
from cloche.formats.one_file import OneFile
from cloche.formats.pytorch.archive import contents, is_one
from cloche.formats.pytorch.variants import VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.formats.variant import Variant

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
    variants: tuple[Variant, ...] = tuple(VARIANTS.values())

    def detect(self, path: Path) -> bool:
        """Return whether a path is a file that PyTorch wrote."""
        return path.is_file() and is_one(path)

    def variant(self, path: Path) -> Variant | None:
        """Return the variant by what the archive holds."""
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
        from cloche.formats.pytorch.inspection import inspect_file

        return inspect_file(snapshot, root / snapshot.entry, options)
