"""Slow work beside the reconcile loop: making golden requests and checking answers.

Each piece of work has a key and runs once at a time, a few of them at once. Threads are daemons:
the control plane ends when it is told, and what was under way is begun again by the next one, since
only a recorded result counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")
Key = tuple[str, int, str]
"""Service, revision number, what is done for it."""

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Finished(Generic[Result]):
    """What became of a piece of work: its result, or the error that it ended with."""

    key: Key
    result: Result | None
    error: ClocheError | None


class Workers(Generic[Result]):
    """Runs work in at most `limit` threads; `done` is called after each piece."""

    def __init__(self, done: Callable[[], None], *, limit: int = 3) -> None:
        self._done = done
        self._limit = limit
        self._lock = threading.Lock()
        self._queue: deque[tuple[Key, Callable[[], Result]]] = deque()
        self._known: set[Key] = set()
        """Queued, running, or finished and not taken yet."""
        self._threads = 0
        self._finished: list[Finished[Result]] = []
        self._not_before: dict[Key, float] = {}

    def submit(self, key: Key, work: Callable[[], Result]) -> None:
        """Begin a piece of work, unless it is under way or has failed a moment ago."""
        with self._lock:
            if key in self._known or time.monotonic() < self._not_before.get(key, 0.0):
                return
            self._known.add(key)
            self._queue.append((key, work))
            if self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._run, name="cloche-work", daemon=True).start()

    def finished(self) -> list[Finished[Result]]:
        """Return what is finished; it stays so until `take`."""
        with self._lock:
            return list(self._finished)

    def take(self, finished: Finished[Result]) -> None:
        """Say that a result is recorded, so that the same work can be asked for again."""
        with self._lock:
            self._finished.remove(finished)
            self._known.discard(finished.key)
            self._not_before.pop(finished.key, None)
            if finished.error is not None:
                self._not_before[finished.key] = time.monotonic() + _RETRY_SECONDS

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                key, work = self._queue.popleft()
            finished: Finished[Result] = _outcome(key, work)
            with self._lock:
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
    """Log the traceback of a defect and return it as an error like any other."""
    _log.error("Unforeseen error", exc_info=error)
    what = f"Something went wrong that Cloche did not foresee: {type(error).__name__}: {error}"
    hint = "The log of the control plane (logs/control.log) has the traceback; please report it."
    return ClocheError("internal", what, hint=hint)
