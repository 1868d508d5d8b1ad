"""What Cloche asks of a source of models: what a reference names, and the files of it."""

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
    """What a user wrote, parsed by the source that takes it."""

    @property
    def text(self) -> str:
        """Return it as it was written."""


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """What a reference names at one moment."""

    pinned: str
    """As it can be written to name the same model for good: `models:/digits/3`."""
    version: str | None
    """The registry's own number, where there is one."""
    state: str
    """While this is the same, so are the files."""


@dataclass(frozen=True, slots=True)
class ResolveContext:
    """Who asks, and where what is fetched goes."""

    directory: Path
    """Where relative paths begin."""
    environment: Mapping[str, str]
    """The user's, with addresses and credentials of registries."""
    store: Store
    progress: Progress


class Source(Protocol):
    """One place that models come from."""

    name: str
    """As a snapshot names it: `files`"""
    schemes: tuple[str, ...]
    """Of its references, in lower case; `""` is a reference without one."""
    forms: tuple[str, ...]
    """How its references are written, for people."""
    misspelled: Mapping[str, str]
    """Schemes that are no scheme, and the one that is meant."""

    def parse(self, text: str, directory: Path) -> Reference:
        """Return what a reference of these schemes says; raises UsageError `source.reference.…`."""

    def current(self, text: str, context: ResolveContext) -> PinnedModel:
        """Return what a reference names now, without fetching its files."""

    def resolve(self, text: str, context: ResolveContext) -> ModelSnapshot:
        """Return what a reference names, with its files in the store under the snapshot's digest.

        Raises UsageError for a reference that cannot be right, UnavailableError for a registry that
        does not answer, and ClocheError (`source.…`, `store.…`, the registry's own) for all else.
        """
