"""Errors of the disk that an image is written to."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = "image.full"
"""The code of the error for a disk without room."""
_FULL = files.FULL | {errno.EFBIG}
_REFUSED = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EISDIR,
    errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.EEXIST,
})  # fmt: skip


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate the OSErrors of writing an image to `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ClocheError(
                FULL,
                "The disk has no room for the image.",
                where=str(path),
                hint="Free some space there, or name a place on a larger disk.",
                retriable=True,
            ) from error
        if error.errno in _REFUSED:
            raise ClocheError(
                "image.unwritable",
                f"Cannot write the image: {error.strerror}.",
                where=str(error.filename or path),
                hint="Name a folder of your own.",
            ) from error
        raise
