"""What formats have in common whose models carry no metadata, and those of a single file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelMetadata
from cloche.formats.format import ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.store import Store


class WithoutMetadata:
    """A model that has no more than its facts."""

    def metadata(self, digest: str, store: Store) -> ModelMetadata:  # noqa: ARG002
        """Return empty metadata."""
        return ModelMetadata()


class OneFile(WithoutMetadata):
    """A model that is one file, kept under a name that does not depend on the user's."""

    entry: str

    def files(self, path: Path, store: Store) -> ModelFiles:  # noqa: ARG002 - nothing is read
        """Return the file under the format's own name."""
        return ModelFiles(self.entry, {self.entry: path})
