"""A file lock between processes that ends with its holder, however the holder ends."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError
from cloche.store.locking import try_lock, wait_for_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.progress import Step


@contextmanager
def locked(path: Path, seconds: float, step: Step) -> Iterator[int]:
    """Hold the lock at `path`; gives its file descriptor, for children that must hold it too.

    Raises UnavailableError `server.triton.busy` when another process holds it for `seconds`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, seconds, step)
        yield descriptor
    finally:
        # Closing is enough: the lock goes with the last descriptor of this opening of the file.
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, seconds: float, step: Step) -> None:
    if try_lock(descriptor):
        return
    step.note("another process is installing it; waiting")
    deadline = time.monotonic() + seconds
    if not wait_for_lock(descriptor, shared=False, gives_up=lambda: time.monotonic() > deadline):
        raise UnavailableError(
            "server.triton.busy",
            "Another process has been installing Triton for too long.",
            where=str(path),
            hint="End that process and run the command again.",
        )
