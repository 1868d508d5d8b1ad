"""The format of scikit-learn's files: one file, told apart by its bytes, never by its suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.format import Lookalike
from cloche.formats.one_file import OneFile
from cloche.formats.sklearn.contents import is_one, is_skops
from cloche.formats.variant import (
    CONVERSION,
    LABELS,
    METHOD,
    TRUST,
    From,
    Served,
    Variant,
    requirements,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

ENTRY = "model.pkl"
_CONVERTER = "skl2onnx and onnxmltools"
_KEYS = (METHOD, requirements("scikit-learn==1.9.1"), TRUST, LABELS, CONVERSION)
_PICKLED = Variant(
    "sklearn-pickle", "an estimator of scikit-learn, XGBoost or LightGBM: pickle or joblib",
    "joblib.dump(model, 'model.joblib')",
    (From.FILE, From.HUB), Served.CONVERTED, _KEYS, _CONVERTER,
)  # fmt: skip
_SKOPS = Variant(
    "sklearn-skops", "the same in a skops file", "skops.io.dump(model, 'model.skops')",
    (From.FILE, From.HUB), Served.CONVERTED, _KEYS, _CONVERTER,
)  # fmt: skip


class SklearnFormat(OneFile):
    """Pickles, joblib and skops files; implements `cloche.formats.Format`."""

    name = ModelFormat.SKLEARN
    entry = ENTRY
    title = "files of scikit-learn"
    marked = True
    lookalikes: tuple[Lookalike, ...] = ()
    variants: tuple[Variant, ...] = (_PICKLED, _SKOPS)

    def detect(self, path: Path) -> bool:
        """Return whether a path is a pickle, compressed or not, or a skops file."""
        return path.is_file() and is_one(path)

    def variant(self, path: Path) -> Variant:
        """Return the variant by the beginning of the file."""
        return _SKOPS if is_skops(path) else _PICKLED

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,  # noqa: ARG002 - a file holds one model
    ) -> ModelFacts:
        """Return what the file tells without being loaded."""
        from cloche.formats.sklearn.inspection import inspect_file

        return inspect_file(snapshot, root / snapshot.entry, options)
