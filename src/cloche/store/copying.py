"""Copies a file and computes its digest in one pass."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from cloche.files import write_all
from cloche.store.disk import require_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloche.progress import Task

_BLOCK = 4 * 2**20
_FICLONE = 0x40049409
"""`ioctl` that makes two files share extents (btrfs, XFS, bcachefs); linux/fs.h."""


def digest_of_file(path: Path, progress: Task | None = None) -> str:
    """Return `sha256:<hex>` of a file's bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _digest(descriptor, None, progress)
    finally:
        os.close(descriptor)


def copy_and_digest(source: int, target: int, folder: Path, progress: Task | None = None) -> str:
    """Copy an open file into an empty open one in `folder`; return the digest of the bytes.

    If the file system can share extents, nothing is copied. The digest is then that of the clone,
    so it is right even if the source is written to meanwhile.
    """
    if _clone(source, target):
        return _digest(target, None, progress)
    require_space(folder, os.fstat(source).st_size)
    return _digest(source, target, progress)


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _digest(source: int, target: int | None, progress: Task | None) -> str:
    import hashlib

    digest = hashlib.sha256()
    size = os.fstat(source).st_size
    if size <= _BLOCK:
        for block in _blocks(source):
            digest.update(block)
            _write(target, block, progress)
    else:
        _digest_beside(source, target, digest.update, progress)
    return f"sha256:{digest.hexdigest()}"


def _digest_beside(
    source: int, target: int | None, update: Callable[[memoryview], None], progress: Task | None
) -> None:
    """Hash each block in a second thread while this one writes it and reads the next."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cloche-digest") as pool:
        pending = None
        for block in _blocks(source):
            if pending is not None:
                pending.result()
            pending = pool.submit(update, block)
            _write(target, block, progress)
        if pending is not None:
            pending.result()


def _blocks(source: int) -> Iterator[memoryview]:
    """Yield a file's bytes in blocks; each is valid until the second `next` after it.

    Of a file that grows meanwhile only the initial size is read: its writer may never end.
    """
    os.lseek(source, 0, os.SEEK_SET)
    left = os.fstat(source).st_size
    size = min(_BLOCK, max(left, 1))
    buffers = (memoryview(bytearray(size)), memoryview(bytearray(size)))
    turn = 0
    while left and (count := os.readv(source, [buffers[turn][:left]])):
        yield buffers[turn][:count]
        left -= count
        turn = 1 - turn


def _write(target: int | None, block: memoryview, progress: Task | None) -> None:
    if target is not None:
        write_all(target, block)
    if progress is not None:
        progress.advance(len(block))
