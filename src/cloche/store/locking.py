"""The guard of a store: shared to add or use something, exclusive to remove something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import BusyError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

_PATIENCE = 30.0
"""Seconds to wait for a lock that is held for a few system calls only."""


def locked(path: Path, *, shared: bool = False) -> AbstractContextManager[int]:
    """Hold the guard; raises `store.locked` if it is not free in time."""
    return files.locked(path, shared=shared, limit=_PATIENCE, busy=lambda: _busy(path))


def _busy(path: Path) -> BusyError:
    return BusyError(
        "store.locked",
        f"Another process has held the store for {_PATIENCE:.0f} seconds.",
        where=str(path),
        hint="Find the process that has this file open, and try again when it has ended.",
    )
