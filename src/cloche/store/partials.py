"""Downloads and copies under way.

Each has a lock that its writer holds. A download has a name made from its key, so that a later
process continues where a killed one stopped; everything else is removed when its writer is gone.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import digest_of
from cloche.errors import BusyError
from cloche.files import open_lock, temporary_name, try_lock, wait_for_lock, write_all
from cloche.store.disk import writing
from cloche.store.locking import locked

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable, Iterator
    from pathlib import Path

_STALLED = 120.0
"""Seconds without a byte after which waiting for another process's download ends."""
_RESUMABLE = "download-"


@dataclass(frozen=True, slots=True)
class Partial:
    """A download under way, locked by this process; `path` holds the bytes so far."""

    path: Path
    descriptor: int

    @property
    def size(self) -> int:
        """Return the number of bytes so far."""
        return os.fstat(self.descriptor).st_size

    def begin_at(self, offset: int) -> hashlib._Hash:
        """Remove the bytes after `offset`; return the SHA-256 state of those before it."""
        import hashlib

        digest = hashlib.sha256()
        with writing(self.path):
            os.ftruncate(self.descriptor, offset)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        while block := os.read(self.descriptor, 2**20):
            digest.update(block)
        return digest

    def append(self, data: bytes) -> None:
        """Append bytes; raises `store.full`."""
        with writing(self.path, len(data)):
            write_all(self.descriptor, data)


def _guard(folder: Path) -> Path:
    """Return the lock that keeps `sweep` from files that are not locked yet."""
    return folder.parent / "lock"


@contextmanager
def scratch_file(folder: Path) -> Iterator[tuple[int, Path]]:
    """Open a new locked file; remove it at the end unless it was renamed."""
    path = folder / temporary_name("copy")
    with locked(_guard(folder), shared=True):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try_lock(descriptor)
    try:
        yield descriptor, path
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Make a new locked folder; remove it at the end unless it was renamed."""
    path = folder / temporary_name("tree")
    with locked(_guard(folder), shared=True):
        path.mkdir(mode=0o755)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try_lock(descriptor)
    try:
        yield path
    finally:
        os.close(descriptor)
        remove(path)


@contextmanager
def resumable(
    folder: Path, key: str, *, waiting: Callable[[], None] = lambda: None
) -> Iterator[Partial]:
    """Open the download of `key` exclusively, with the bytes so far.

    Calls `waiting` and waits while another process downloads the same and makes progress; raises
    BusyError `store.busy` if it stalls.
    """
    path = folder / (_RESUMABLE + digest_of(key.encode()).removeprefix("sha256:")[:40])
    with writing(path):
        descriptor = _open_locked(path, waiting)
    try:
        yield Partial(path, descriptor)
    finally:
        # Nothing can be continued from an empty file; a process that waits for it makes another.
        if os.fstat(descriptor).st_size == 0 and _is_current(descriptor, path):
            path.unlink()
        os.close(descriptor)


def _open_locked(path: Path, waiting: Callable[[], None]) -> int:
    while True:
        descriptor = _open(path, waiting)
        try:
            if not try_lock(descriptor):
                waiting()
                _wait_for_other(path, descriptor)
            # The former holder may have renamed or removed the file.
            if _is_current(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path: Path, waiting: Callable[[], None]) -> int:
    try:
        return open_lock(path)
    except PermissionError:
        # It is whole: its writer made it read-only, and renames it now or was killed before.
        _make_writable(path, waiting)
        return open_lock(path)


def _make_writable(path: Path, waiting: Callable[[], None]) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if not try_lock(descriptor):
                waiting()
                _wait_for_other(path, descriptor)
            if _is_current(descriptor, path):
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def _wait_for_other(path: Path, descriptor: int) -> None:
    last = (-1, time.monotonic())

    def stalled() -> bool:
        nonlocal last
        size = os.fstat(descriptor).st_size
        if size != last[0]:
            last = (size, time.monotonic())
        return time.monotonic() - last[1] > _STALLED

    if not wait_for_lock(descriptor, shared=False, gives_up=stalled):
        raise BusyError(
            "store.busy",
            f"Another process downloads the same file and got no bytes for {_STALLED:.0f} seconds.",
            where=str(path),
            hint="End that process and try again; the download continues where it stopped.",
        )


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sweep(folder: Path, *, keep_downloads: bool) -> int:
    """Remove what dead processes left behind; return the freed bytes."""
    if not folder.is_dir():
        return 0
    freed = 0
    with locked(_guard(folder)):
        for path in folder.iterdir():
            if keep_downloads and path.name.startswith(_RESUMABLE):
                continue
            with suppress(FileNotFoundError):
                freed += _remove_if_unlocked(path)
    return freed


def _remove_if_unlocked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not try_lock(descriptor):
            return 0
        size = size_of(path)
        remove(path)
        return size
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files under a folder that have no other link."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        status.st_size
        for folder, _, names in os.walk(path)
        for name in names
        if (status := os.lstat(os.path.join(folder, name))).st_nlink == 1  # noqa: PTH118
    )


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
