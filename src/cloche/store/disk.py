"""The disk under the store: its free space, the time of stored files, and its errors.

A full disk, a missing permission or a read-only mount becomes a ClocheError.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import ClocheError
from cloche.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAMP_NS = 315_532_800 * 10**9
"""The modification time of all stored files: 1980-01-01, the earliest in a zip archive.

A write to a stored file changes it, so `stat` alone shows that a file was changed. The access time
is when the file was last used.
"""

_FULL = files.FULL | {errno.EFBIG}
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})


@contextmanager
def writing(path: Path, needed: int = 0) -> Iterator[None]:
    """Translate the OSErrors of writing to `path`; `needed` is in bytes."""
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
    """Return the error for a full disk under `path`, with the bytes that were needed."""
    required = f" {size_text(needed)} were needed," if needed else ""
    free = size_text(free_bytes(path))
    return ClocheError(
        "store.full",
        f"The disk is full:{required} {free} are free.",
        where=str(path),
        hint="Free some space, run `cloche cache clean`, or point CLOCHE_HOME to a larger disk;"
        " then run the same command again.",
        retriable=True,
    )


def free_bytes(path: Path) -> int:
    """Return the bytes that an ordinary user can still write on the disk of `path`."""
    for place in (path, *path.parents):
        with suppress(OSError):
            status = os.statvfs(place)
            return status.f_bavail * status.f_frsize
    return 0


def require_space(path: Path, needed: int) -> None:
    """Raise `store.full` if `needed` bytes do not fit on the disk of `path`."""
    if needed > free_bytes(path):
        raise full(path, needed)


def folder_size(folder: Path) -> int:
    """Return the bytes of the files under a folder; a file with several links counts once."""
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
