"""Wakes threads that wait for something to happen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class News:
    """A count of changes that threads can wait on, with listeners that are called."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self.count = 0
        """The number of changes; read it before looking for news, then wait from that number."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from any thread, after each change."""
        self._listeners.append(listener)

    def notify(self) -> None:
        """Count a change: wake all waiting threads and call the listeners."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        for listener in self._listeners:
            listener()

    def wait(self, count: int, seconds: float) -> None:
        """Return when there is a change after `count`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != count, seconds)
