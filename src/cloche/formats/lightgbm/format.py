"""The LightGBM format: one file of text, which begins with `tree` and the format's version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.errors import ClocheError
from cloche.formats.format import Lookalike
from cloche.formats.one_file import OneFile
from cloche.formats.variant import CONVERSION, LABELS, METHOD, From, Served, Variant

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

ENTRY = "model.txt"
_BEGINNING = re.compile(rb"tree\r?\nversion=v\d+\r?\n")
_END = b"end of trees"
_TAIL = 2**20
"""Bytes at the end in which the trees end; feature importances and parameters follow them."""


class LightgbmFormat(OneFile):
    """Boosters saved by LightGBM; implements `cloche.formats.Format`."""

    name = ModelFormat.LIGHTGBM
    entry = ENTRY
    title = "boosters of LightGBM"
    marked = True
    lookalikes: tuple[Lookalike, ...] = ()
    variants: tuple[Variant, ...] = (
        Variant(
            "lightgbm", "a booster of LightGBM, text", "booster.save_model('model.txt')",
            (From.FILE,), Served.CONVERTED, (METHOD, LABELS, CONVERSION), "onnxmltools",
        ),
    )  # fmt: skip

    def detect(self, path: Path) -> bool:
        """Return whether a path is a booster in text."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return bool(_BEGINNING.match(file.read(64)))

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return what the file tells without being loaded.

        Raises ClocheError `inspection.lightgbm.damaged` for a file that was cut off.
        """
        from cloche.formats.sklearn import inspection
        from cloche.formats.unloaded import PYTHON

        if not _is_whole(root / snapshot.entry):
            raise ClocheError(
                "inspection.lightgbm.damaged",
                "The file is not whole: its trees do not end.",
                where=snapshot.pinned,
                hint="Save or download it again.",
            )
        return inspection.facts(
            snapshot, options, "lightgbm, a booster", "lightgbm",
            python=options.python or PYTHON, packages=("lightgbm",), recorded={},
        )  # fmt: skip


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL))
        return _END in file.read()
