"""Replicas that are used directly, past the gateway, and must not end meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Holds:
    """Counts the holds on each replica, by its name; calls may come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Hold a replica while the block lasts."""
        with self._lock:
            self._counts[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[name] -= 1
                if not self._counts[name]:
                    del self._counts[name]

    def __contains__(self, name: str) -> bool:
        """Return whether a replica is held."""
        return name in self._counts
