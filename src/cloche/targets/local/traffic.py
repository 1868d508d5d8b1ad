"""The traffic of each revision in the last minute, from what the gateway counts.

The counts of a process of the gateway begin anew with it, so their growth is kept, look by look.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError
from cloche.targets.local.envoy.statistics import Counts, grown
from cloche.targets.target import ServiceTraffic, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloche.targets.local.envoy.statistics import Key

EVERY = 5.0
"""Seconds between two looks."""
_WINDOW = 60.0
_RECENT = 10.0
"""Seconds over which requests per second are counted, so that a change shows soon."""
_SOON = 0.5
"""Seconds until the next look where no gateway runs."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Interval:
    begin: float
    end: float
    counts: Mapping[Key, Counts]


class TrafficMeter:
    """Looks at the counts of a gateway, in a thread of its own after `start`."""

    def __init__(
        self,
        read: Callable[[], Mapping[int, Mapping[Key, Counts]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` returns what each process of the gateway has counted since it started."""
        self._read = read
        self._clock = clock
        self._before: Mapping[int, Mapping[Key, Counts]] | None = None
        self._last = 0.0
        self._intervals = deque[_Interval]()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="count-requests", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(EVERY)

    def look(self) -> None:
        """Read the counts once.

        The first look only notes where they stand, unless it finds no gateway: all that is counted
        later is new then. Raises UnavailableError if none runs.
        """
        now = self._clock()
        try:
            counted = self._read()
        except UnavailableError:
            with self._lock:
                self._before, self._last = self._before or {}, now
            raise
        with self._lock:
            if self._before is not None:
                self._note(_Interval(self._last, now, self._grown(counted)))
            # What a process counted is kept while it does not answer.
            self._before, self._last = {**(self._before or {}), **counted}, now

    def _grown(self, counted: Mapping[int, Mapping[Key, Counts]]) -> dict[Key, Counts]:
        """Return how the counts of all processes grew; a new one began after the last look."""
        sums: dict[Key, Counts] = {}
        for process, counts in counted.items():
            for key, growth in grown(counts, (self._before or {}).get(process, {})).items():
                sums[key] = sums.get(key, Counts()) + growth
        return sums

    def _note(self, interval: _Interval) -> None:
        self._intervals.append(interval)
        while interval.end - self._intervals[0].begin > _WINDOW + EVERY / 2:
            self._intervals.popleft()

    def of(self, service: str) -> ServiceTraffic | None:
        """Return the traffic of a service in the last minute; None if nothing was counted yet."""
        with self._lock:
            intervals = list(self._intervals)
        if not intervals:
            return None
        end, last = intervals[-1].end, intervals[-1:]
        recent = [each for each in intervals if end - each.begin <= _RECENT + EVERY / 2] or last
        all_of, lately = _sums(service, intervals), _sums(service, recent)
        seconds, none = end - recent[0].begin, Counts()
        revisions = {
            number: _traffic(counts, lately.get(number, none), seconds)
            for number, counts in sorted(all_of.items())
        }
        total = _traffic(sum(all_of.values(), none), sum(lately.values(), none), seconds)
        return ServiceTraffic(round(end - intervals[0].begin, 1), total, revisions)

    def _run(self) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            pause = EVERY
            try:
                self.look()
            except UnavailableError:
                pause = _SOON
            except Exception:  # noqa: BLE001 - a defect must not end the thread
                _log.exception("Counting requests")


def _sums(service: str, intervals: Iterable[_Interval]) -> dict[int, Counts]:
    """Return what was counted of the revisions of a service."""
    sums: dict[int, Counts] = {}
    for interval in intervals:
        for (name, revision), counts in interval.counts.items():
            if name == service:
                sums[revision] = sums.get(revision, Counts()) + counts
    return sums


def _traffic(counts: Counts, lately: Counts, seconds: float) -> Traffic:
    return Traffic(
        requests=counts.answered,
        requests_per_second=round(lately.answered / seconds, 2) if seconds > 0 else 0.0,
        errors=counts.errors,
        lost=counts.lost,
        p50_ms=counts.quantile(0.5),
        p99_ms=counts.quantile(0.99),
    )
