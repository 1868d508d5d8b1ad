"""When a replica is asked its golden request, and what follows from its answers; without I/O.

A replica that is silent is asked soon, one that answers real requests now and then, since those
do not say whether they are answered rightly; both for at most a hundredth of its time. It is late
only if it finishes nothing at all meanwhile: until it does it gets no requests. It is stuck once
that lasts longer than any request may take, and wrong after two wrong answers in a row: then only a
new process helps. A replica that is late or wrong while no other one is ready stays in the traffic,
since nobody else would answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.targets.local.lifecycle import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.targets.local.health.activity import Activity

INTERVAL = 2.0
"""Seconds without an answer after which a replica is asked."""
REGULARLY = 10.0
"""Seconds after which it is asked although it answers others."""
_SHARE = 0.01
"""The most of its time that it answers golden requests."""
_WRONG = 2
_LATE = 2.0
_LATE_BY_OWN = 20.0
"""Times its quickest golden request: a busy machine may be that slow."""
_LATE_BY_MEAN = 4.0
"""Times what its requests take on average: several may be before it."""

LATE = "It finishes no request at present, its golden request included."
STUCK = "It finished no request for {limit:g} seconds, its golden request included."
WRONG = "It answered its golden request wrongly twice in a row: {why}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one golden request."""

    seconds: float
    wrong: str | None = None
    """What is wrong with the answer, as a sentence."""
    answered: bool = True
    """False if there was no answer, or only that the replica has too much to do."""
    refused: bool = False
    """Whether the answer is an error."""


class Probing:
    """The golden requests of one process of a replica; times are seconds of one clock."""

    def __init__(self, limit: Callable[[], float]) -> None:
        """Call a process stuck that finishes nothing for `limit` seconds."""
        self._limit = limit
        self._completed: int | None = None
        self._progress_at = 0.0
        self._ended_at = 0.0
        self._waiting_since: float | None = None
        self._asking = False
        self._seconds: float | None = None
        self._quickest: float | None = None
        self._mean = 0.0
        self._wrong: list[str] = []

    @property
    def asking(self) -> bool:
        """Return whether a golden request is on its way."""
        return self._asking

    def note(self, activity: Activity | None, now: float) -> None:
        """Note what the replica did until now."""
        if activity is None:
            return
        before, self._completed = self._completed, activity.completed
        self._mean = activity.mean_seconds
        if before is not None and activity.completed > before:
            self._progress_at = now
            if self._waiting_since is not None:
                self._waiting_since = now if self._asking else None

    def due(self, now: float) -> bool:
        """Return whether it should be asked now."""
        if self._asking:
            return False
        if self._seconds is None or len(self._wrong) == 1:
            return True
        fair = self._seconds / _SHARE
        silent, unasked = now - max(self._progress_at, self._ended_at), now - self._ended_at
        return silent >= max(INTERVAL, fair) or unasked >= max(REGULARLY, fair)

    def asked(self, now: float) -> None:
        """Note that it is asked."""
        self._asking = True
        if self._waiting_since is None:
            self._waiting_since = now

    def ended(self, outcome: Outcome, now: float) -> None:
        """Note what came of it."""
        self._asking, self._ended_at = False, now
        if not outcome.answered:
            self._seconds = self._seconds or 0.0
            return
        self._waiting_since, self._seconds = None, outcome.seconds
        self._quickest = min(outcome.seconds, self._quickest or outcome.seconds)
        self._wrong = [*self._wrong, outcome.wrong] if outcome.wrong is not None else []

    def doubt(self, why: str) -> None:
        """Count a wrong answer that somebody else got; the replica is asked at once."""
        self._wrong = self._wrong or [why]

    def health(self, now: float, others: Callable[[], bool]) -> Health:
        """Return how the replica is; `others` tells whether another one can do without it."""
        if len(self._wrong) >= _WRONG:
            why = WRONG.format(why=self._wrong[-1])
            return Health(ready=False, why=why, replace=True) if others() else Health(True, why)
        silent = 0.0 if self._waiting_since is None else now - self._waiting_since
        if silent >= self._limit():
            why = STUCK.format(limit=self._limit())
            return Health(ready=False, why=why, replace=True, dead=True)
        if silent < self._late():
            return Health(ready=True)
        return Health(ready=not others(), why=LATE)

    def _late(self) -> float:
        if self._quickest is None:
            return self._limit()
        return max(_LATE, _LATE_BY_OWN * self._quickest, _LATE_BY_MEAN * self._mean)
