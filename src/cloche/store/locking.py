"""Locks between processes and threads: `flock` on a file, which the kernel drops with its holder.

A lock so never outlives a killed process, and needs no clean-up.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE = 30.0
"""Seconds to wait for a lock that is only held for a few system calls."""


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take a lock on an open file if it is free."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(descriptor: int, *, shared: bool, gives_up: Callable[[], bool]) -> bool:
    """Take a lock, or return False as soon as `gives_up` says so."""
    pause = 0.001
    while not try_lock(descriptor, shared=shared):
        if gives_up():
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    return True


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock that a file stands for; raises store.locked when it cannot be had in time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _PATIENCE
    try:
        if not wait_for_lock(
            descriptor, shared=shared, gives_up=lambda: time.monotonic() > deadline
        ):
            raise UnavailableError(
                "store.locked",
                f"Another process has held the store for {_PATIENCE:.0f} seconds.",
                where=str(path),
                hint="See which process has this file open, and try again when it has ended.",
            )
        yield
    finally:
        os.close(descriptor)
