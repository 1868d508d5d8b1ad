"""Applies rules to records: read, apply, write over the version that was read, append events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Event, EventKind
from cloche.errors import StaleError
from cloche.refusals import unknown_service
from cloche.rollout.record import CLOCHE, Changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import ServiceRecord
    from cloche.state import Journal, State, Stored

_ATTEMPTS = 10
"""How often a rule is applied to a record that others change at the same time."""


class Records:
    """The records of a state, changed by the rules in `cloche.rollout.record`, and their events."""

    def __init__(
        self,
        state: State,
        journal: Journal,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.state = state
        self.journal = journal
        self._clock = clock

    def now(self) -> str:
        """Return the time in the form of records and events: UTC, ISO 8601, milliseconds."""
        return self._clock().isoformat(timespec="milliseconds")

    def stored(self, name: str) -> Stored:
        """Return a service's record and version; raises `service.unknown`."""
        stored = self.state.service(name)
        if stored is None:
            raise unknown_service(name)
        return stored

    def put(self, stored: Stored | None, changed: Changed) -> None:
        """Write a changed record over the stored version, then its events; raises StaleError."""
        if stored is None or changed.record != stored.record:
            self.state.put(changed.record, expect=stored.version if stored else None)
        if changed.events:
            self.journal.append(changed.events)

    def change(self, name: str, rule: Callable[[ServiceRecord], Changed]) -> ServiceRecord:
        """Apply a rule to a service's record, again if the record changed meanwhile.

        Raises what the rule raises, `service.unknown`, and StaleError if the record still changes
        after several attempts.
        """
        for attempt in range(_ATTEMPTS):
            stored = self.stored(name)
            changed = rule(stored.record)
            try:
                self.put(stored, changed)
            except StaleError:
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return changed.record
        raise AssertionError("unreachable")

    def tell(
        self,
        service: str,
        kind: EventKind,
        what: str,
        *,
        revision: int | None = None,
        by: str = CLOCHE,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Append an event that belongs to no change of a record."""
        self.journal.append([Event(self.now(), service, revision, kind, what, by, detail or {})])
