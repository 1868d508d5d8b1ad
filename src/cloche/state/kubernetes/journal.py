"""The journal on a cluster: the latest events of each service in a ConfigMap of its own.

They are also told as Events of Kubernetes, for `kubectl describe` and `kubectl get events`; that is
a copy, which may be missing. The events of a service go when it is deleted: the event that tells of
it is only told so.

Events are numbered for each service. The events of all services have no common numbers, so a cursor
holds the number of the last event that was read of each. Between services they are in the order of
their times, as their writers' clocks have it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloche.artifacts import Event, EventKind, encode
from cloche.state.kubernetes import cursors
from cloche.state.kubernetes.announcements import Announcements
from cloche.state.kubernetes.config_maps import ConfigMaps, value_in
from cloche.state.kubernetes.cursors import Position
from cloche.state.kubernetes.names import Part
from cloche.state.kubernetes.objects import Body, uid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloche.clients.kubernetes.cluster import Cluster

_EVENTS = "events.json"
_MOST_BYTES = 800_000
"""A ConfigMap holds 1 MiB."""
_MOST_DETAIL_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it stands in the journal."""

    number: int
    """Counts the events of the service."""
    stamp: int
    """The time of its writer in ns; it grows with the number."""
    id: str
    event: Event


class KubernetesJournal:
    """Implements `cloche.state.Journal`; keeps the latest `most_events` events per service."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        *,
        most_events: int = 500,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._maps = ConfigMaps(cluster, namespace, Part.EVENTS)
        self._announcements = Announcements(cluster, namespace)
        self._most_events = most_events
        self._clock = clock
        self._writing = threading.Lock()
        self._last_stamp = 0

    def close(self) -> None:
        """Leave the connection open: it belongs to who made it."""

    def append(self, events: Iterable[Event]) -> None:
        by_service: dict[str, list[Entry]] = defaultdict(list)
        with self._writing:  # threads of one process would only hinder each other
            for event in events:
                entry = Entry(0, self._stamp(), secrets.token_hex(4), _fitting(event))
                by_service[event.service].append(entry)
            for service, entries in by_service.items():
                self._add(service, entries)
        for entries in by_service.values():
            for entry in entries:
                self._announcements.tell(entry.event, entry.id)

    def read(
        self, service: str | None = None, *, after: str = "", limit: int = 1000
    ) -> tuple[Event, ...]:
        positions = cursors.decode(after)
        if service is None:
            bodies = self._maps.all()
        else:
            body = self._maps.read(service)
            bodies = {service: body} if body is not None else {}
        unread = [
            (entry, uid_of(body))
            for name, body in bodies.items()
            for entry in _entries(body)
            if positions.get(name, _NOTHING).before(entry.number, uid_of(body))
        ]
        unread.sort(key=lambda each: each[0].stamp)
        events = []
        for entry, uid in unread[:limit]:
            positions[entry.event.service] = Position.of(entry.number, uid)
            events.append(replace(entry.event, cursor=cursors.encode(positions)))
        return tuple(events)

    def _add(self, service: str, entries: list[Entry]) -> None:
        if any(entry.event.kind is EventKind.DELETED for entry in entries):
            return

        def rule(body: Body | None) -> Mapping[str, object] | None:
            before = _entries(body) if body is not None else []
            known = {entry.id for entry in before}
            number, stamp = (before[-1].number, before[-1].stamp) if before else (0, 0)
            added = []
            for entry in entries:
                if entry.id not in known:  # the answer to an earlier attempt may have been lost
                    number, stamp = number + 1, max(stamp + 1, entry.stamp)
                    added.append(replace(entry, number=number, stamp=stamp))
            return {_EVENTS: self._latest([*before, *added])} if added else None

        self._maps.change(service, rule)

    def _latest(self, entries: list[Entry]) -> list[Entry]:
        """Return as many of the latest events as are kept."""
        latest = entries[-self._most_events :]
        sizes = [len(encode(entry)) + 1 for entry in latest]
        total = sum(sizes)
        for first, size in enumerate(sizes):
            if total <= _MOST_BYTES:
                return latest[first:]
            total -= size
        return latest[-1:]

    def _stamp(self) -> int:
        """Return the time, later than that of the event before."""
        self._last_stamp = max(self._last_stamp + 1, self._clock())
        return self._last_stamp


_NOTHING = Position(0, "")


def _fitting(event: Event) -> Event:
    """Return an event as it is kept: without its detail, if that would take much of the room."""
    large = len(encode(event.detail)) > _MOST_DETAIL_BYTES
    return replace(event, cursor="", detail={} if large else event.detail)


def _entries(body: Body) -> list[Entry]:
    return value_in(body, _EVENTS, list[Entry])
