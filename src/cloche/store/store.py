"""The content-addressed store: its contract.

    blobs/sha256/ab/<hex>      files by digest, read-only
    trees/<hex>/               folders of files by digest, hard links to blobs
    index/<kind>/<key>.json    small remembered values, which may be removed at any time
    partial/                   downloads and copies under way
    leases/                    locks of work under way

Any number of processes and threads may use a store at once. What a killed process leaves is
continued or removed, and never taken for complete. Errors are `store.full`, `store.unwritable`,
`store.missing`, `store.changed`, `store.path`, `store.locked`.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, digest_of, digest_of_files, encode
from cloche.errors import ClocheError
from cloche.files import sync_folder, write_all
from cloche.store import checking, cleaning, partials, trees
from cloche.store.blobs import blob_path, hex_of, mark_used, missing, publish, seal
from cloche.store.copying import copy_and_digest
from cloche.store.disk import folder_size, require_space, writing
from cloche.store.index import STAT, Index, is_settled, stat_key
from cloche.store.layout import TREE, Layout, Manifest, mark_tree_used, read_manifest
from cloche.store.leases import lease, oldest_lease_ns
from cloche.store.locking import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.progress import Task
    from cloche.store.cleaning import Cleaned, Usage
    from cloche.store.partials import Partial


class Store:
    """Files, trees and small values under one folder, which is made at the first write."""

    def __init__(self, root: Path, max_size: int = 50 * 2**30) -> None:
        self.root = root
        self.max_size = max_size
        self._layout = Layout(root)
        self._index = Index(self._layout.index, self._layout.partial)

    # ── files ─────────────────────────────────────────────────────────────────────────────────

    def add_file(self, path: Path, progress: Task | None = None) -> FileEntry:
        """Copy a file into the store; the entry's path is the file's name.

        A file with the device, inode, size and times of an earlier call is not read again.
        `progress` advances by bytes. Raises `store.changed` if the file is written to meanwhile.
        """
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ClocheError("store.special", "This is not a regular file.", where=str(path))
        known = self._known_digest(status)
        if known is not None:
            if progress is not None:
                progress.advance(status.st_size)
            return FileEntry(path.name, status.st_size, known)
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            digest = self._copy(source, os.fstat(source).st_size, progress)
            after = os.fstat(source)
        finally:
            os.close(source)
        if stat_key(after) != stat_key(status):
            raise ClocheError(
                "store.changed", "The file was written to while it was read.", where=str(path),
                hint="Wait until whatever writes it has ended, and try again.", retriable=True,
            )  # fmt: skip
        if is_settled(after):
            self._index.remember(STAT, stat_key(after), digest.encode(), durable=False)
        return FileEntry(path.name, after.st_size, digest)

    def known_file(self, path: Path) -> FileEntry | None:
        """Return the result of `add_file` if a `stat` is enough; None if the file must be read."""
        status = path.stat()
        digest = self._known_digest(status)
        return FileEntry(path.name, status.st_size, digest) if digest else None

    def add_bytes(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        digest = digest_of(data)
        if not self.use(digest):
            with self._changing(len(data)), partials.scratch_file(self._layout.partial) as scratch:
                descriptor, path = scratch
                write_all(descriptor, data)
                self._publish(descriptor, path, digest)
        return digest

    def adopt(self, partial: Partial, digest: str) -> None:
        """Make a finished download, whose bytes have this digest, a file of the store."""
        with self._changing(0):
            self._publish(partial.descriptor, partial.path, digest)

    def download(
        self, key: str, *, waiting: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[Partial]:
        """Open the download of `key` exclusively, with the bytes that a killed process left.

        Calls `waiting` and waits while another process downloads the same.
        """
        self._make()
        return partials.resumable(self._layout.partial, key, waiting=waiting)

    def use(self, digest: str) -> bool:
        """Return whether the file of a digest is here and unchanged; mark it as used."""
        path = self.blob_path(digest)
        if not trees.is_untouched(path):
            return False
        self._make()
        with locked(self._layout.guard, shared=True):
            if not trees.is_untouched(path):
                return False
            mark_used(path)
        return True

    def read(self, digest: str) -> bytes:
        """Return the bytes of a stored file; raises `store.missing`."""
        try:
            return self.blob_path(digest).read_bytes()
        except FileNotFoundError:
            raise missing("file", digest) from None

    def blob_path(self, digest: str) -> Path:
        """Return the path of the file of a digest, which may not exist."""
        return blob_path(self._layout.blobs, digest)

    # ── trees ─────────────────────────────────────────────────────────────────────────────────

    def put_tree(self, files: tuple[FileEntry, ...], *, label: str = "") -> str:
        """Make the tree of stored files and return its digest.

        `label` describes the tree in listings. Raises `store.missing` for a file that is not stored
        and `store.path` for a path that leaves the tree.
        """
        digest = digest_of_files(files)
        trees.check_paths(files)
        if self.whole(digest):
            return digest
        target = self._layout.tree(digest)
        with (
            self._changing(sum(entry.size for entry in files)),
            self.working(),
            partials.scratch_folder(self._layout.partial) as folder,
        ):
            trees.fill(folder, files, self._used_blob, self._copy_blob)
            manifest = encode(Manifest(files, label))
            with (
                self._index.staging(TREE, hex_of(digest), manifest) as commit,
                locked(self._layout.guard),
            ):
                if target.exists() and trees.suspects(target, files):
                    partials.remove(target)
                if not target.exists():
                    folder.rename(target)
                commit()
            sync_folder(target.parent)
        return digest

    @contextmanager
    def laid_out(self, files: tuple[FileEntry, ...]) -> Iterator[Path]:
        """Yield a temporary folder of stored files; raises what `put_tree` does."""
        trees.check_paths(files)
        with self.working(), partials.scratch_folder(self._layout.partial) as folder:
            with self._changing(sum(entry.size for entry in files)):
                trees.fill(folder, files, self._used_blob, self._copy_blob)
            yield folder

    def tree_path(self, digest: str) -> Path:
        """Return the folder of a tree and mark it as used; raises `store.missing`."""
        path = self._layout.tree(digest)
        if not path.is_dir():
            raise missing("tree", digest)
        mark_tree_used(self._index, digest)
        return path

    def whole(self, digest: str) -> bool:
        """Return whether a tree is here with all files unchanged, by `stat` alone.

        Marks the tree and its files as used.
        """
        manifest = read_manifest(self._index, digest)
        path = self._layout.tree(digest)
        if manifest is None or not path.is_dir():
            return False
        with locked(self._layout.guard, shared=True):
            if trees.suspects(path, manifest.files):
                return False
            mark_tree_used(self._index, digest)
        return all(self.use(entry.digest) for entry in manifest.files)

    def verify(self, digest: str, progress: Task | None = None) -> bool:
        """Return whether a file or a tree has its digest, after reading all its bytes.

        Damaged files are removed, so that the next resolve fetches them again.
        """
        return checking.verify(self._layout, self._index, digest, progress)

    # ── small values ──────────────────────────────────────────────────────────────────────────

    def recall(self, kind: str, key: str) -> bytes | None:
        """Return a remembered value; None if there is none."""
        return self._index.recall(kind, key)

    def remember(self, kind: str, key: str, value: bytes) -> None:
        """Store a small value under a kind (a plain name) and any key."""
        self._make()
        self._index.remember(kind, key, value)

    # ── size ──────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def working(self) -> Iterator[None]:
        """Protect every entry that is used while the block lasts from eviction."""
        self._make()
        with writing(self.root), lease(self._layout.leases, self._layout.guard):
            yield

    def work_began(self) -> float | None:
        """Return when the oldest work under way began, in seconds since 1970; None without work."""
        self._make()
        with locked(self._layout.guard):
            began = oldest_lease_ns(self._layout.leases)
        return None if began is None else began / 1e9

    def require_space(self, needed: int) -> None:
        """Raise `store.full` if `needed` bytes do not fit on the disk."""
        require_space(self.root, needed)

    def size(self) -> int:
        """Return the bytes on disk."""
        return folder_size(self.root)

    def usage(self, keep: Collection[str] = ()) -> tuple[Usage, ...]:
        """Return all entries, least recently used first; `keep` has the digests in use."""
        self._make()
        return cleaning.usage(self._layout, keep)

    def clean(self, keep: Collection[str], target_size: int | None = None) -> Cleaned:
        """Remove the least recently used entries down to `target_size` bytes (default `max_size`).

        The digests in `keep`, the files of kept trees, and what work under way has used stay. With
        0 everything else is removed.
        """
        self._make()
        target = self.max_size if target_size is None else target_size
        return cleaning.clean(self._layout, keep, target)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _make(self) -> None:
        with writing(self.root):
            self._layout.make()

    @contextmanager
    def _changing(self, needed: int) -> Iterator[None]:
        with writing(self.root, needed):
            self._layout.make()
            yield

    def _known_digest(self, status: os.stat_result) -> str | None:
        remembered = self._index.recall(STAT, stat_key(status))
        digest = remembered.decode() if remembered else None
        return digest if digest is not None and self.use(digest) else None

    def _copy(self, source: int, size: int, progress: Task | None) -> str:
        with self._changing(size), partials.scratch_file(self._layout.partial) as scratch:
            descriptor, path = scratch
            digest = copy_and_digest(source, descriptor, self.root, progress)
            if not self.use(digest):
                self._publish(descriptor, path, digest)
        return digest

    def _publish(self, descriptor: int, path: Path, digest: str) -> None:
        seal(descriptor)
        with locked(self._layout.guard, shared=True):
            publish(path, self.blob_path(digest))

    def _used_blob(self, digest: str) -> Path:
        if not self.use(digest):
            raise missing("file", digest)
        return self.blob_path(digest)

    def _copy_blob(self, blob: Path, target: Path) -> None:
        with blob.open("rb") as source, target.open("x+b") as copy:
            copy_and_digest(source.fileno(), copy.fileno(), self.root)
            seal(copy.fileno())
