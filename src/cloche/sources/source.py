"""The contract of a source of models: a reference in, its model's files out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from cloche.progress import Progress
    from cloche.store import Store


class Reference(Protocol):
    """A reference, parsed by its source."""

    @property
    def text(self) -> str:
        """Return the reference as written."""


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """The model that a reference names at one moment."""

    pinned: str
    """A reference that always names the same model: `models:/digits/3`."""
    version: str | None
    """The registry's version number, if it has one."""
    state: str
    """Changes whenever the files do."""


@dataclass(frozen=True, slots=True)
class ResolveContext:
    """The caller's environment, and the store for fetched files."""

    directory: Path
    """Start of relative paths."""
    environment: Mapping[str, str]
    """The user's environment, with addresses and credentials of registries."""
    store: Store
    progress: Progress
    trust: bool = False
    """Whether the user lets a model from anywhere bring code that is not known to be safe."""


class Source(Protocol):
    """A place that models come from."""

    name: str
    """Its name in snapshots: `files`"""
    schemes: tuple[str, ...]
    """Schemes of its references, in lower case; `""` is a reference without one."""
    forms: tuple[str, ...]
    """Forms of its references, for messages."""
    misspelled: Mapping[str, str]
    """Mistaken schemes, and the scheme that each means."""

    def parse(self, text: str, directory: Path) -> Reference:
        """Parse a reference of these schemes; raises UsageError `source.reference.…`."""

    def of_page(self, address: str) -> str | None:
        """Return the reference to the model that a page in a browser shows; None for others."""

    def current(self, text: str, context: ResolveContext) -> PinnedModel:
        """Return the model that a reference names now, without fetching its files."""

    def resolve(self, text: str, context: ResolveContext) -> ModelSnapshot:
        """Return the snapshot of a reference, with its files in the store under its digest.

        Raises UsageError for an invalid reference, UnavailableError if the registry does not
        answer, and other ClocheErrors (`source.…`, `store.…`, the registry's own).
        """
