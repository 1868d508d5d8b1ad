"""The health of one replica: ready, warmed up, and asked its golden request when it is silent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cloche.targets.local.health import activity
from cloche.targets.local.health.golden_call import GoldenCall, send
from cloche.targets.local.health.probing import Outcome, Probing
from cloche.targets.local.health.ready import ReplicaConnection
from cloche.targets.local.lifecycle import Health, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.targets.local.health.golden_call import GoldenAnswer, GoldenRequest
    from cloche.targets.local.health.judging import Judging
    from cloche.targets.local.supervised import Record


@dataclass(frozen=True, slots=True)
class Questions:
    """What the replicas of a revision are asked."""

    ready_paths: tuple[str, ...]
    """A ready replica answers 200 to all of them."""
    first: GoldenRequest | None = None
    """What a new replica answers before it is ready, whatever the answer is."""
    probes: tuple[GoldenRequest, ...] = ()
    """What a silent replica is asked: the first of these that it accepts."""


@dataclass(frozen=True, slots=True)
class Watching:
    """How a replica is watched now: it may change while it runs."""

    others: Callable[[], bool]
    """Tells whether another replica of the revision can do without this one."""
    request_limit: Callable[[], float]
    """Seconds that any request may take."""
    probe: Callable[[], bool]
    """Whether it is asked its golden request."""


class ReplicaHealth:
    """Checks one replica, of one process after the other; for use by one thread."""

    def __init__(
        self,
        questions: Questions,
        judging: Callable[[], Judging | None],
        *,
        start_limit: float,
        watching: Watching,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Give a new process `start_limit` seconds for its first request."""
        self._questions = questions
        self._new_judging = judging
        self._start_limit = start_limit
        self._watching = watching
        self._clock = clock
        self._connection = ReplicaConnection()
        self._is_own = False
        self._doubt: str | None = None
        self._begin(None)

    def of(self, record: Record, listens: Callable[[], bool]) -> Health:
        """Return the health of a running process; `listens` tells whether it listens itself."""
        address = record.addresses[0]
        if record.pid != self._pid:
            self._begin(record.pid)
        if not self._connection.ready(address, self._questions.ready_paths):
            return Health(ready=False)
        if not self._is_own and not listens():
            return Health(ready=False)
        self._is_own = True
        if record.life.step is Step.STARTING:
            return Health(ready=self._warmed_up(record))
        probed = bool(self._questions.probes) and self._watching.probe()
        return self._probed(record) if probed else Health(ready=True)

    def doubt(self, why: str) -> None:
        """Count a wrong answer that somebody else got; may be called by another thread."""
        self._doubt = why

    def close(self) -> None:
        """Close the connection to the replica."""
        self._connection.close()

    def _begin(self, pid: int | None) -> None:
        """Forget what is known of another process."""
        self._pid = pid
        self._is_own = False
        self._warm_up: GoldenCall | None = None
        self._call: GoldenCall | None = None
        self._chosen = 0
        self._probing = Probing(self._watching.request_limit)
        self._judging = self._new_judging()

    def _warmed_up(self, record: Record) -> bool:
        """Return whether its first request was answered; send it if it was not sent."""
        first = self._questions.first
        if first is None:
            return True
        if self._warm_up is None:
            ask = partial(send, first, record.addresses[0], self._start_limit)
            self._warm_up = GoldenCall(ask, f"warm-{record.name}")
        return self._warm_up.ended

    def _probed(self, record: Record) -> Health:
        probing, address = self._probing, record.addresses[0]
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            probing.doubt(doubt)
        probing.note(activity.read(self._connection.get(address, activity.PATH)), self._clock())
        if self._call is None and probing.due(self._clock()):
            probing.asked(self._clock())
            request = self._questions.probes[self._chosen]
            ask = partial(send, request, address, 2 * self._watching.request_limit())
            self._call = GoldenCall(ask, f"probe-{record.name}")
        if self._call is not None and self._call.ended:
            probing.ended(self._outcome(self._call.answer), self._clock())
            self._call = None
        return probing.health(self._clock(), self._watching.others)

    def _outcome(self, answer: GoldenAnswer | None) -> Outcome:
        if self._judging is None:
            return Outcome(0.0, answered=answer is not None)
        outcome = self._judging.outcome(answer)
        if outcome.refused and self._chosen + 1 < len(self._questions.probes):
            self._chosen += 1  # it answers, and may accept the next one
            return Outcome(outcome.seconds)
        return outcome
