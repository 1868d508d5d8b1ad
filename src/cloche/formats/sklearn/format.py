"""The format of scikit-learn's files: one file, told apart by its bytes, never by its suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat
from cloche.formats.format import Lookalike
from cloche.formats.one_file import OneFile
from cloche.formats.sklearn.contents import is_one

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

ENTRY = "model.pkl"


class SklearnFormat(OneFile):
    """Pickles, joblib and skops files; implements `cloche.formats.Format`."""

    name = ModelFormat.SKLEARN
    entry = ENTRY
    title = "files of scikit-learn"
    marked = True
    lookalikes: tuple[Lookalike, ...] = ()

    def detect(self, path: Path) -> bool:
        """Return whether a path is a pickle, compressed or not, or a skops file."""
        return path.is_file() and is_one(path)

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
