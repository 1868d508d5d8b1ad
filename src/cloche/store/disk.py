"""Durable writes: everything lands under a temporary name, is synced, and is then renamed.

A reader so never sees half of anything, whenever the writer is killed. What the operating system
refuses (disk full, no permission, read-only) becomes a ClocheError that says what was needed.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAMP_NS = 315_532_800 * 10**9
"""The modification time of everything in the store: 1980-01-01, the oldest a zip archive can carry.

A write to a stored file moves its modification time away from this, so that a `stat` alone shows
that a file was touched; when it was last used stands in its access time.
"""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})


def readable_size(size: int) -> str:
    """Return a size as people say it: `512 bytes`, `1.5 MiB`."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


@contextmanager
def writing(path: Path, needed: int = 0) -> Iterator[None]:
    """Translate what the operating system says while `path` is written; `needed` is in bytes."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise full(path, needed) from error
        if error.errno in _REFUSED:
            raise ClocheError(
                "store.unwritable",
                f"Cannot write to the store: {error.strerror}.",
                where=str(error.filename or path),
                hint="Give yourself write permission there, or point CLOCHE_HOME to a folder of"
                " your own.",
            ) from error
        raise


def full(path: Path, needed: int) -> ClocheError:
    """Return the error that the disk under `path` has no room, with what was needed."""
    wanted = f" {readable_size(needed)} were needed," if needed else ""
    free = readable_size(free_bytes(path))
    return ClocheError(
        "store.full",
        f"The disk is full:{wanted} {free} are free.",
        where=str(path),
        hint="Free some space, run `cloche cache clean`, or point CLOCHE_HOME to a larger disk;"
        " then run the same command again.",
        retriable=True,
    )


def free_bytes(path: Path) -> int:
    """Return what an ordinary user may still write on the disk that holds `path`."""
    for place in (path, *path.parents):
        with suppress(OSError):
            status = os.statvfs(place)
            return status.f_bavail * status.f_frsize
    return 0


def require_space(path: Path, needed: int) -> None:
    """Raise store.full before anything is written that cannot fit."""
    if needed > free_bytes(path):
        raise full(path, needed)


def temporary_name(prefix: str) -> str:
    """Return a name that no other process makes."""
    return f"{prefix}-{os.getpid()}-{os.urandom(8).hex()}"


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of some bytes; the system may take only a part at a time."""
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


def folder_size(folder: Path) -> int:
    """Return the bytes of the files under a folder, each once however many links it has."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(inside, name))  # noqa: PTH118
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    return total
