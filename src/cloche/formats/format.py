"""The contract of a format: detection, files, metadata and facts of its models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from cloche.artifacts import (
        ModelFacts,
        ModelFormat,
        ModelMetadata,
        ModelOptions,
        ModelSnapshot,
    )
    from cloche.errors import ClocheError
    from cloche.formats.variant import Variant
    from cloche.store import Store


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on disk: its files by path in the snapshot, and the path of its entry."""

    entry: str
    files: dict[str, Path]


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Something often mistaken for a model of a format; any one of its marks identifies it."""

    what: str
    """`a PyTorch file, which Cloche does not serve`"""
    remedy: str | Callable[[Path], str]
    """What to do; a function of the path if it names the path."""
    suffixes: tuple[str, ...] = ()
    starts: tuple[bytes, ...] = ()
    names: frozenset[str] = frozenset()
    """Names of the file itself, or of an entry of the folder."""
    test: Callable[[Path, bytes], bool] | None = None
    """Any other mark, from the path and the first bytes (empty for a folder)."""
    code: str = "unsupported"
    """Last part of the error code: `source.files.<code>`"""


class Format(Protocol):
    """A format of models; it never runs or unpickles a model."""

    name: ModelFormat
    entry: str
    """The file that represents such a model (`MLmodel`), `.` for a whole folder."""
    title: str
    """Plural name of its models, for messages."""
    marked: bool
    """Whether its models have a mark of their own; without one any file may be such a model."""
    lookalikes: tuple[Lookalike, ...]
    variants: tuple[Variant, ...]
    """Its rows in the table of what is served; `measured.json` has a measurement of each."""

    def detect(self, path: Path) -> bool:
        """Return whether a file or folder looks like a model of this format."""

    def variant(self, path: Path) -> Variant | None:
        """Return which variant a detected path is; None if that is not told."""

    def files(self, path: Path, store: Store) -> ModelFiles:
        """Return the files of the model at a path; the store remembers what was read.

        Raises ClocheError (`source.…`) for an incomplete model.
        """

    def metadata(self, digest: str, store: Store) -> ModelMetadata:
        """Return the metadata that a stored model carries."""

    def inspect(
        self,
        snapshot: ModelSnapshot,
        root: Path,
        options: ModelOptions,
        *,
        service: str | None = None,
    ) -> ModelFacts:
        """Return the facts of a model whose files are under `root`.

        `options` are the user's, and `service` picks one of several models. Raises ClocheError for
        an invalid file or a model that cannot be served at all; a caveat becomes a finding.
        """


@runtime_checkable
class Foresight(Protocol):
    """A format that knows from a model's settings that it is not served."""

    refused: tuple[ClocheError, ...]
    """What it refuses so, each once."""

    def foresee(
        self, settings: Mapping[str, Path], names: Collection[str], where: str, *, trust: bool
    ) -> None:
        """Raise ClocheError as `files` would, before weights are fetched; `where` is the model.

        `settings` are the small files by their path, `names` the paths of all files. `trust` is
        whether code of its own may be loaded.
        """
