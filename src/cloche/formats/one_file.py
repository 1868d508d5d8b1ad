"""What formats have in common whose models carry no metadata, and those of a single file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelMetadata
from cloche.formats.format import ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.formats.variant import Variant
    from cloche.store import Store


class WithoutMetadata:
    """A model that has no more than its facts."""

    variants: tuple[Variant, ...]

    def variant(self, path: Path) -> Variant | None:  # noqa: ARG002 - it is not looked at
        """Return the only variant of the format."""
        return self.variants[0] if len(self.variants) == 1 else None

    def metadata(self, digest: str, store: Store) -> ModelMetadata:  # noqa: ARG002
        """Return empty metadata."""
        return ModelMetadata()


class OneFile(WithoutMetadata):
    """A model that is one file, kept under a name that does not depend on the user's."""

    entry: str

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the file under the format's own name."""
        return ModelFiles(self.entry, {self.entry: path})
