"""The contents of the store, and eviction of the least recently used entries."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.files import temporary_name
from cloche.store.blobs import blob_path
from cloche.store.disk import folder_size
from cloche.store.index import STAT, Index
from cloche.store.layout import TREE, manifest_used_ns, read_manifest
from cloche.store.leases import oldest_lease_ns
from cloche.store.locking import locked
from cloche.store.partials import remove, size_of, sweep

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from cloche.artifacts import FileEntry
    from cloche.store.layout import Layout

_SPARED = frozenset({TREE, "lock"})
"""Kinds of remembered values that do not expire: a tree's list of files is removed with the tree,
and a lock guarantees that the same model gets the same environment."""
_FORGOTTEN_AFTER = 90 * 86400.0
"""Seconds without use after which a remembered value is removed."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One entry of the store, or an installation beside it.

    `size` is in bytes; a file that several trees share counts in each, but once in `Store.size()`.
    `label` describes the entry, if it has a description.
    """

    kind: str
    """`tree`, `blob` (a file that no tree holds) or `partial` (a download or copy under way);
    beside the store `environment`, `server`, `image` (one that an engine holds) and `document` (of
    a revision in a cluster)."""
    digest: str | None
    label: str
    size: int
    last_used: float
    """Seconds since 1970."""
    kept: bool
    """Whether the caller keeps it or work under way uses it."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The result of a cleaning; sizes are in bytes."""

    freed: int
    size: int
    """Size of what is left."""
    removed: tuple[Usage, ...]


class Inventory:
    """The contents of a store at one moment; the caller holds the guard exclusively."""

    def __init__(self, layout: Layout, keep: Collection[str]) -> None:
        self._layout = layout
        self._index = Index(layout.index, layout.partial)
        self._keep = frozenset(keep)
        self._since_ns = oldest_lease_ns(layout.leases)
        self._kept_files = {
            entry.digest for digest in self._keep for entry in self._files_of(digest)
        } | self._keep

    def entries(self) -> list[Usage]:
        """Return all entries, least recently used first."""
        entries = [*self._trees(), *self._loose_blobs(), *self._partials()]
        return sorted(entries, key=lambda entry: entry.last_used)

    def remove(self, entry: Usage) -> int:
        """Remove a tree with the files that only it has, or a file; return the freed bytes."""
        if entry.kind == "partial" or entry.digest is None:
            return 0
        if entry.kind == "blob":
            blob_path(self._layout.blobs, entry.digest).unlink(missing_ok=True)
            return entry.size
        files = self._files_of(entry.digest)
        gone = self._layout.partial / temporary_name("gone")
        self._layout.tree(entry.digest).rename(gone)
        freed = size_of(gone)
        remove(gone)
        self._index.forget(TREE, entry.digest.removeprefix("sha256:"))
        return freed + sum(self._remove_orphan(file) for file in set(files))

    def _remove_orphan(self, file: FileEntry) -> int:
        path = blob_path(self._layout.blobs, file.digest)
        with suppress(FileNotFoundError):
            status = path.stat()
            if status.st_nlink == 1 and not self._is_kept(file.digest, status.st_atime_ns):
                path.unlink()
                return status.st_size
        return 0

    def _files_of(self, digest: str) -> tuple[FileEntry, ...]:
        manifest = read_manifest(self._index, digest)
        return manifest.files if manifest else ()

    def _is_kept(self, digest: str, used_ns: int) -> bool:
        under_way = self._since_ns is not None and used_ns >= self._since_ns
        return under_way or digest in self._kept_files

    def _trees(self) -> Iterator[Usage]:
        for path in self._layout.trees.iterdir():
            digest = f"sha256:{path.name}"
            manifest = read_manifest(self._index, digest)
            size = sum(entry.size for entry in manifest.files) if manifest else 0
            label = manifest.label if manifest else ""
            used_ns = manifest_used_ns(self._index, digest)
            yield Usage("tree", digest, label, size, used_ns / 1e9, self._is_kept(digest, used_ns))

    def _loose_blobs(self) -> Iterator[Usage]:
        for path in self._layout.blobs.glob("sha256/*/*"):
            digest, status = f"sha256:{path.name}", path.stat()
            if status.st_nlink == 1:
                kept = self._is_kept(digest, status.st_atime_ns)
                yield Usage("blob", digest, "", status.st_size, status.st_atime, kept)

    def _partials(self) -> Iterator[Usage]:
        for path in self._layout.partial.iterdir():
            with suppress(FileNotFoundError):
                yield Usage("partial", None, "", size_of(path), path.stat().st_mtime, kept=False)


def usage(layout: Layout, keep: Collection[str]) -> tuple[Usage, ...]:
    """Return all entries of the store, least recently used first."""
    with locked(layout.guard):
        return tuple(Inventory(layout, keep).entries())


def clean(layout: Layout, keep: Collection[str], target_size: int) -> Cleaned:
    """Remove leftovers, then the least recently used entries, down to `target_size` bytes."""
    before = folder_size(layout.root)
    sweep(layout.partial, keep_downloads=target_size > 0)
    size = folder_size(layout.root)
    removed = []
    with locked(layout.guard):
        inventory = Inventory(layout, keep)
        for entry in inventory.entries():
            if size <= target_size:
                break
            if not entry.kept and entry.kind != "partial":
                size -= inventory.remove(entry)
                removed.append(entry)
        _forget_values(layout, everything=target_size == 0)
    size = folder_size(layout.root)
    return Cleaned(before - size, size, tuple(removed))


def _forget_values(layout: Layout, *, everything: bool) -> None:
    """Remove values that refer to missing files, and values that expired."""
    since_ns = oldest_lease_ns(layout.leases)
    for path in Index(layout.index, layout.partial).values():
        with suppress(FileNotFoundError):
            if _is_dangling(layout, path) or (
                path.parent.name not in _SPARED and _is_old(path, since_ns, everything=everything)
            ):
                path.unlink()


def _is_dangling(layout: Layout, path: Path) -> bool:
    if path.parent.name == TREE:
        return not (layout.trees / path.stem).is_dir()
    return path.parent.name == STAT and not blob_path(layout.blobs, path.read_text()).exists()


def _is_old(path: Path, since_ns: int | None, *, everything: bool) -> bool:
    used_ns = path.stat().st_mtime_ns
    if since_ns is not None and used_ns >= since_ns:
        return False
    return everything or used_ns < time.time_ns() - _FORGOTTEN_AFTER * 1e9
