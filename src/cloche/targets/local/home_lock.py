"""The lock of the process that keeps the servers of a home running."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import BusyError
from cloche.targets.local import records

if TYPE_CHECKING:
    from pathlib import Path


def take(path: Path, home: Path) -> int:
    """Take the lock; return its descriptor, which holds it until closed.

    Raises BusyError `target.local.busy` if another process has it.
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
            hint="Use the running control plane (`cloche status`), or end it.",
        )
    return descriptor
