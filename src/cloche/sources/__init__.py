"""Where models come from: what a user writes, resolved once to a snapshot in the store.

`source.py` is the contract; each source is a file or folder beside it. Sources are given the
formats of models and know only their contract (`cloche.formats`), never a format.

resolve("models:/digits@champion", sources, context)   → ModelSnapshot
current("models:/digits@champion", sources, context)   → PinnedModel
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.sources.references import source_of
from cloche.sources.source import PinnedModel, Reference, ResolveContext, Source

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot

__all__ = [
    "PinnedModel",
    "Reference",
    "ResolveContext",
    "Source",
    "current",
    "parse",
    "resolve",
]


def parse(text: str, sources: Collection[Source], *, directory: Path) -> Reference:
    """Parse a reference; a relative path is relative to `directory`. Raises UsageError."""
    return source_of(text, sources).parse(text.strip(), directory)


def current(text: str, sources: Collection[Source], context: ResolveContext) -> PinnedModel:
    """Return what a reference names now; raises what `resolve` does."""
    return source_of(text, sources).current(text.strip(), context)


def resolve(text: str, sources: Collection[Source], context: ResolveContext) -> ModelSnapshot:
    """Resolve a reference with the source that takes it; raises what `Source.resolve` does."""
    source = source_of(text, sources)
    with context.store.working():
        return source.resolve(text.strip(), context)
