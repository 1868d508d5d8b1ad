"""The lock of the one process that keeps the servers of a home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import BusyError
from cloche.targets.local import records

if TYPE_CHECKING:
    from pathlib import Path


def take(path: Path, home: Path) -> int:
    """Return a descriptor that holds the lock until it is closed or this process ends.

    Raises BusyError `target.local.busy` where another process has it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = files.open_lock(path)
    except OSError as error:
        raise records.disk_error(path, error) from error
    if not files.try_lock(descriptor):
        os.close(descriptor)
        raise BusyError(
            "target.local.busy",
            "Another process keeps the servers of this home.",
            where=str(home),
            hint="Use the control plane that runs (`cloche status`), or end it.",
        )
    return descriptor
