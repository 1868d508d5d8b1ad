"""Telling those who wait in threads that something happened."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class News:
    """A count of what happened, which threads wait on and others listen to."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self.count = 0
        """How often something happened; read it before looking, and wait from there."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, from any thread, whenever something happened."""
        self._listeners.append(listener)

    def notify(self) -> None:
        """Wake all who wait."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        for listener in self._listeners:
            listener()

    def wait(self, count: int, seconds: float) -> None:
        """Return when something has happened since `count`, or when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != count, seconds)
