"""Processes that should all run, watched through pidfds; see pidfd_open(2).

Triton answers that it is ready while a process in which it runs a model is dead. These are its
children from before it is ready until it ends, so the end of one is a fault.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloche.targets.local import proc

if TYPE_CHECKING:
    from collections.abc import Iterable


class ProcessGroup:
    """Some processes, each with its pid and its start in clock ticks since boot."""

    def __init__(self, members: Iterable[tuple[int, int]]) -> None:
        self.members = tuple(members)
        self._descriptors: dict[int, int] = {}
        self._ended: int | None = None
        for pid, started in self.members:
            descriptor = proc.open_started(pid, started)
            if descriptor is None:
                self._ended = pid
            else:
                self._descriptors[pid] = descriptor

    def filenos(self) -> tuple[int, ...]:
        """Return the pidfds of those that run; each becomes readable when its process ends."""
        return tuple(each for each in self._descriptors.values() if not proc.until_ended(each, 0))

    def ended(self) -> int | None:
        """Return the pid of a process that has ended; None if all run."""
        for pid, descriptor in self._descriptors.items():
            if self._ended is None and proc.until_ended(descriptor, 0):
                self._ended = pid
        return self._ended

    def close(self) -> None:
        """Stop watching; the processes run on."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors = {}
