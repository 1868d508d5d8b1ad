"""What Cloche asks of a format: is this such a model, which files belong to it, what is it like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelFormat, ModelMetadata, ModelSnapshot
    from cloche.store import Store


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on disk: its files by their path in the snapshot, and its entry among them."""

    entry: str
    files: dict[str, Path]


@dataclass(frozen=True, slots=True)
class Lookalike:
    """What people take for a model of a format; any one of its marks tells it."""

    what: str
    """`a PyTorch file, which Cloche does not serve`"""
    remedy: str | Callable[[Path], str]
    """What to do, made from the path where it names it."""
    suffixes: tuple[str, ...] = ()
    starts: tuple[bytes, ...] = ()
    names: frozenset[str] = frozenset()
    """Of the file itself, or of something in the folder."""
    test: Callable[[Path, bytes], bool] | None = None
    """Any other mark, by the path and the first bytes of a file (none of a folder)."""
    code: str = "unsupported"
    """Of the error: `source.files.<code>`"""


class Format(Protocol):
    """One format of models; nothing in it runs or unpickles a model."""

    name: ModelFormat
    entry: str
    """The file that names such a model (`MLmodel`), `.` for a whole folder."""
    title: str
    """What users call models of it, in the plural."""
    lookalikes: tuple[Lookalike, ...]

    def detect(self, path: Path) -> bool:
        """Return whether a file or folder looks like a model of this format."""

    def files(self, path: Path, store: Store) -> ModelFiles:
        """Return the files of the model at a path; what was read is remembered in the store.

        Raises ClocheError (`source.…`) for a model that is not whole.
        """

    def metadata(self, digest: str, store: Store) -> ModelMetadata:
        """Return what came along with a stored model beside its bytes."""

    def inspect(
        self, snapshot: ModelSnapshot, root: Path, *, service: str | None = None
    ) -> ModelFacts:
        """Return the facts of a model whose files are under `root`.

        `service` says which model of several is meant. Raises ClocheError for a file that is not
        what it should be, and for what cannot be served at all; what can be served with a caveat
        becomes a finding.
        """
