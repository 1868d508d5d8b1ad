"""Sleeping until a time, an event of the kernel, or a call from another thread."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Alarm:
    """Wakes one sleeping thread; see eventfd(2)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        """Wake the thread, or its next sleep at once; do nothing after `close`."""
        with self._lock:
            if self._event >= 0:
                os.eventfd_write(self._event, 1)

    def wait(self, seconds: float | None, descriptors: Iterable[int] = ()) -> None:
        """Sleep until `set`, until a descriptor is readable, or for some seconds."""
        poll = select.poll()
        for descriptor in (self._event, *descriptors):
            poll.register(descriptor, select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)

    def close(self) -> None:
        """End its use; another thread may still call `set`."""
        # Under the lock: a closed descriptor's number may be reused at once.
        with self._lock:
            if self._event >= 0:
                os.close(self._event)
                self._event = -1
