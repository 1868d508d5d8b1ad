"""Leases: entries that work under way has used since it began are not evicted."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cloche.files import temporary_name, try_lock
from cloche.store.locking import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lease(folder: Path, guard: Path) -> Iterator[None]:
    """Protect every entry that is used while the block lasts."""
    path = folder / temporary_name("work")
    with locked(guard, shared=True):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try_lock(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def oldest_lease_ns(folder: Path) -> int | None:
    """Return when the oldest work under way began, in nanoseconds since 1970; None without work.

    Removes the leases of dead processes. The caller holds the guard exclusively.
    """
    starts = []
    for path in folder.glob("work-*"):
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                if try_lock(descriptor):
                    path.unlink()
                else:
                    starts.append(os.fstat(descriptor).st_mtime_ns)
            finally:
                os.close(descriptor)
    return min(starts, default=None)
