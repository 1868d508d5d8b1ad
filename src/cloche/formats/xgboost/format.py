"""The XGBoost format: one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.format import Lookalike
from cloche.formats.one_file import OneFile
from cloche.formats.variant import CONVERSION, LABELS, METHOD, From, Served, Variant
from cloche.formats.xgboost.file import is_binary, is_booster

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

ENTRY = "model.xgb"


class XgboostFormat(OneFile):
    """Boosters saved by XGBoost; implements `cloche.formats.Format`."""

    name = ModelFormat.XGBOOST
    entry = ENTRY
    title = "boosters of XGBoost"
    marked = True
    lookalikes: tuple[Lookalike, ...] = (
        Lookalike(
            "a booster in the binary format that XGBoost has given up",
            "load it with an XGBoost before 3.1 and save it again: booster.save_model('model.ubj')",
            test=is_binary,
        ),
    )
    variants: tuple[Variant, ...] = (
        Variant(
            "xgboost", "a booster of XGBoost, JSON or UBJSON", "booster.save_model('model.ubj')",
            (From.FILE,), Served.CONVERTED, (METHOD, LABELS, CONVERSION), "onnxmltools",
        ),
    )  # fmt: skip

    def detect(self, path: Path) -> bool:
        """Return whether a path is a booster in JSON or UBJSON."""
        return path.is_file() and is_booster(path)

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return what the file tells without being loaded.

        Raises ClocheError `inspection.xgboost.damaged` for a file that was cut off.
        """
        from cloche.errors import ClocheError
        from cloche.formats.sklearn import inspection
        from cloche.formats.unloaded import PYTHON
        from cloche.formats.xgboost.file import is_whole, version

        if not is_whole(root / snapshot.entry):
            raise ClocheError(
                "inspection.xgboost.damaged",
                "The file is not whole: it ends in the middle.",
                where=snapshot.pinned,
                hint="Save or download it again.",
            )
        written = version(root / snapshot.entry)
        return inspection.facts(
            snapshot, options, "xgboost, a booster", "xgboost",
            python=options.python or PYTHON, packages=("xgboost",),
            recorded={"xgboost": written} if written else {},
        )  # fmt: skip
