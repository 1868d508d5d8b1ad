"""The folders of the store, and the manifest of a tree."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import files
from cloche.artifacts import FileEntry, decode
from cloche.store.blobs import hex_of

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.store.index import Index

TREE = "tree"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of a store."""

    root: Path

    @property
    def blobs(self) -> Path:
        """Return the folder of files by digest."""
        return self.root / "blobs"

    @property
    def trees(self) -> Path:
        """Return the folder of trees by digest."""
        return self.root / "trees"

    @property
    def index(self) -> Path:
        """Return the folder of remembered values."""
        return self.root / "index"

    @property
    def partial(self) -> Path:
        """Return the folder of downloads and copies under way."""
        return self.root / "partial"

    @property
    def leases(self) -> Path:
        """Return the folder of the leases of work under way."""
        return self.root / "leases"

    @property
    def guard(self) -> Path:
        """Return the lock file: shared to add or use something, exclusive to remove something."""
        return self.root / "lock"

    def make(self) -> None:
        """Make the folders; nobody else can enter the one that has them all."""
        files.private_folder(self.root)
        for folder in (self.blobs, self.trees, self.index, self.partial, self.leases):
            folder.mkdir(parents=True, exist_ok=True)

    def tree(self, digest: str) -> Path:
        """Return the path of a tree, which may not exist."""
        return self.trees / hex_of(digest)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a tree; stored in the index under the tree's digest."""

    files: tuple[FileEntry, ...]
    label: str = ""


def mark_tree_used(index: Index, digest: str) -> None:
    """Set the last use of a tree to now.

    It is the modification time of the manifest: the access time of a folder changes when anyone
    lists it.
    """
    with suppress(FileNotFoundError, PermissionError):
        os.utime(index.path(TREE, hex_of(digest)))


def manifest_used_ns(index: Index, digest: str) -> int:
    """Return the last use of a tree in nanoseconds since 1970; 0 if its manifest is missing."""
    try:
        return index.path(TREE, hex_of(digest)).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def read_manifest(index: Index, digest: str) -> Manifest | None:
    """Return the manifest of a tree; None if it is missing or broken."""
    data = index.path(TREE, hex_of(digest))
    try:
        return decode(Manifest, data.read_bytes())
    except (OSError, ValueError):
        return None
