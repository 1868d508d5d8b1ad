"""Slow work beside the reconcile loop: checking answers.

A few pieces of work run at once, but only one per key. Threads are daemons: an engine ends without
waiting for them, and the next engine starts the work again, since only a recorded result counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from cloche.errors import ClocheError
from cloche.refusals import internal

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Key:
    """What a piece of work is for."""

    service: str
    revision: int
    kind: str
    """`verify`"""
    rollout: str
    """When the rollout that needs it began."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[Result]):
    """The end of a piece of work: its result, or the error that it ended with."""

    key: Key
    result: Result | None
    error: ClocheError | None


class Background(Generic[Result]):
    """Runs work in at most `limit` threads; calls `done` after each piece."""

    def __init__(
        self,
        done: Callable[[], None],
        *,
        limit: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the seconds of `clock` between an error and the next try."""
        self._done = done
        self._limit = limit
        self._clock = clock
        self._idle = threading.Condition()
        self._queue: deque[tuple[Key, Callable[[], Result]]] = deque()
        self._submitted: set[Key] = set()
        """Work that is queued, running, or finished but not taken."""
        self._threads = 0
        self._finished: list[Finished[Result]] = []
        self._not_before: dict[Key, float] = {}

    def submit(self, key: Key, work: Callable[[], Result]) -> None:
        """Queue a piece of work, unless it is under way or failed less than a second ago."""
        with self._idle:
            if key in self._submitted or self._clock() < self._not_before.get(key, 0.0):
                return
            self._submitted.add(key)
            self._queue.append((key, work))
            if self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._run, name="cloche-work", daemon=True).start()

    def finished(self) -> list[Finished[Result]]:
        """Return the finished work, which stays until `take`."""
        with self._idle:
            return list(self._finished)

    def take(self, finished: Finished[Result]) -> None:
        """Forget a recorded result, so that the same work can be submitted again."""
        with self._idle:
            self._finished.remove(finished)
            self._submitted.discard(finished.key)
            self._not_before.pop(finished.key, None)
            if finished.error is not None:
                self._not_before[finished.key] = self._clock() + _RETRY_SECONDS

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for all work to end; return whether it has."""
        with self._idle:
            return self._idle.wait_for(lambda: self._threads == 0, seconds)

    def _run(self) -> None:
        while True:
            with self._idle:
                if not self._queue:
                    self._threads -= 1
                    self._idle.notify_all()
                    return
                key, work = self._queue.popleft()
            finished: Finished[Result] = _outcome(key, work)
            with self._idle:
                self._finished.append(finished)
            self._done()


def _outcome(key: Key, work: Callable[[], Result]) -> Finished[Result]:
    try:
        return Finished(key, work(), None)
    except ClocheError as error:
        return Finished(key, None, error)
    except Exception as error:  # noqa: BLE001  (one failed piece of work must not end the others)
        return Finished(key, None, unforeseen(error))


def unforeseen(error: Exception) -> ClocheError:
    """Log the traceback of a defect and return it as a ClocheError `internal`."""
    _log.error("Unforeseen error", exc_info=error)
    hint = "The log of the control plane (logs/control.log) has the traceback; please report it."
    return internal(error, hint=hint)
