"""Atomic writes of files, and locks between processes.

A file is written under a temporary name in its own folder, synced and renamed: a reader sees the
old file or the new one, also after a crash. A lock is `flock` on a file: the kernel drops it when
its holder ends, even by a kill, so it needs no clean-up.

An OSError is not translated here: the caller knows what its file means to the user.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk that has no room."""
RESERVE = 2**20
"""Bytes of a file that is given up on a full disk: for some dozens of records."""
_AMPLE = 8


# ── files ─────────────────────────────────────────────────────────────────────────────────────


def write_atomically(
    path: Path, data: bytes, *, private: bool = False, reserve: Path | None = None
) -> None:
    """Replace a file atomically; with `private` only its owner can read it (0600).

    On a full disk `reserve`, a file of `keep_reserve`, is given up for it.
    """
    try:
        _write_atomically(path, data, private=private)
    except OSError as error:
        if reserve is None or error.errno not in FULL or not reserve.exists():
            raise
        reserve.unlink(missing_ok=True)
        _write_atomically(path, data, private=private)


def keep_reserve(path: Path, size: int) -> None:
    """Have a file of `size` bytes that can be given up for others, if the disk has ample room.

    With little room it would take what others need.
    """
    with suppress(OSError):
        if path.exists() or not has_room(path.parent, _AMPLE * size):
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def has_room(folder: Path, size: int) -> bool:
    """Return whether the disk of a folder has `size` bytes left for this user."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize >= size


def _write_atomically(path: Path, data: bytes, *, private: bool) -> None:
    temporary = path.with_name(temporary_name(f".{path.name}"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600 if private else 0o666)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter, whatever the umask; tighten one that is there.

    A folder that is somebody else's, or shared by its sticky bit as /tmp is, stays as it is, and so
    does one behind a link.
    """
    if not path.parent.exists():
        private_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        return
    status = path.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if ours and status.st_mode & 0o077 and not status.st_mode & stat.S_ISVTX:
        path.chmod(0o700)


def temporary_name(prefix: str) -> str:
    """Return a name that no other process uses."""
    return f"{prefix}-{os.getpid()}-{os.urandom(8).hex()}"


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; one `os.write` may write only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── locks ─────────────────────────────────────────────────────────────────────────────────────


def open_lock(path: Path) -> int:
    """Return a descriptor of a lock file; make the file if it is missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take a lock on an open file; return False if it is not free."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Return whether another process has the lock of a file; raises OSError but for a missing one.

    It is tried shared, so that those who only look do not take each other for its holder.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def wait_for_lock(descriptor: int, *, shared: bool, gives_up: Callable[[], bool]) -> bool:
    """Take a lock, or return False as soon as `gives_up` returns True."""
    pause = 0.001
    while not try_lock(descriptor, shared=shared):
        if gives_up():
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    return True


@contextmanager
def locked(
    path: Path,
    *,
    busy: Callable[[], Exception],
    limit: float = 0.0,
    shared: bool = False,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Hold the lock on a file; yield its descriptor, which children may inherit.

    If another process holds it, call `waiting` once, wait up to `limit` seconds, and then raise the
    error that `busy` returns. The lock ends when the last copy of the descriptor is closed.
    """
    descriptor = open_lock(path)
    try:
        if not try_lock(descriptor, shared=shared):
            waiting()
            deadline = time.monotonic() + limit
            if not wait_for_lock(
                descriptor, shared=shared, gives_up=lambda: time.monotonic() >= deadline
            ):
                raise busy()
        yield descriptor
    finally:
        os.close(descriptor)
