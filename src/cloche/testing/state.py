"""State and journal in memory."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Attached
from cloche.errors import UsageError
from cloche.refusals import stale_number, stale_record, unknown_revision
from cloche.state import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import Event, Revision, ServiceRecord, Verification


class MemoryState:
    """Implements `cloche.state.State`; the data lives as long as the object."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stored: dict[str, Stored] = {}
        self._writes = 0
        self._revisions: dict[str, dict[int, Revision]] = defaultdict(dict)
        self._attached: dict[tuple[str, int], Attached] = {}
        self._numbers: dict[str, int] = {}

    def close(self) -> None:
        """Keep the data: the same object can be opened again."""

    def services(self) -> tuple[str, ...]:
        return tuple(sorted(self._stored))

    def lost(self) -> tuple[str, ...]:
        return ()

    def service(self, name: str) -> Stored | None:
        return self._stored.get(name)

    def put(self, record: ServiceRecord, *, expect: str | None) -> str:
        with self._lock:
            self._require(record.name, expect)
            self._writes += 1
            version = f"v{self._writes}"
            self._stored[record.name] = Stored(record, version)
            return version

    def delete(self, name: str, *, expect: str) -> None:
        with self._lock:
            self._require(name, expect)
            del self._stored[name]
            self._revisions.pop(name, None)
            self._attached = {key: value for key, value in self._attached.items() if key[0] != name}

    def last_number(self, name: str) -> int:
        return self._numbers.get(name, 0)

    def add_revision(self, revision: Revision) -> None:
        with self._lock:
            service, number = revision.service, revision.number
            if number <= self.last_number(service):
                raise stale_number(service, number)
            self._numbers[service] = number
            self._revisions[service][number] = revision

    def revisions(self, service: str) -> tuple[Revision, ...]:
        with self._lock:
            return tuple(self._revisions.get(service, {}).values())

    def revision(self, service: str, number: int) -> Revision | None:
        return self._revisions.get(service, {}).get(number)

    def attach(self, service: str, number: int, value: Verification) -> None:
        with self._lock:
            if self.revision(service, number) is None:
                raise unknown_revision(service, number)
            before = self.attached(service, number)
            self._attached[service, number] = replace(before, verification=value)

    def attached(self, service: str, number: int) -> Attached:
        return self._attached.get((service, number), Attached())

    def _require(self, name: str, expect: str | None) -> None:
        stored = self._stored.get(name)
        if (stored.version if stored is not None else None) != expect:
            raise stale_record(name)


class MemoryJournal:
    """Implements `cloche.state.Journal`; its cursors are words, not numbers, as they may be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def close(self) -> None:
        """Keep the data: the same object can be opened again."""

    def append(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                self._events.append(replace(event, cursor=f"after-{len(self._events)}"))

    def read(
        self, service: str | None = None, *, after: str = "", limit: int = 1000
    ) -> tuple[Event, ...]:
        begin = 0
        if after:
            known = {event.cursor: index for index, event in enumerate(self._events)}
            if after not in known:
                hint = "Give the cursor of an event that was read."
                raise UsageError("events.cursor", f"{after!r} is not a cursor.", hint=hint)
            begin = known[after] + 1
        events = [event for event in self._events[begin:] if service in {None, event.service}]
        return tuple(events[:limit])
