"""Applies rules to records: read, apply, write over the version that was read, append events."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cloche.artifacts import Event, EventKind
from cloche.errors import ClocheError, StaleError
from cloche.refusals import lost_record, unknown_service
from cloche.rollout.record import CLOCHE, Changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import ServiceRecord
    from cloche.state import Journal, State, Stored

_ATTEMPTS = 10
T = TypeVar("T")


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
        """Return a service's record and version; raises `service.unknown` and `state.lost`."""
        stored = self.state.service(name)
        if stored is None:
            raise self.absent(name)
        return stored

    def absent(self, name: str) -> ClocheError:
        """Return why a service has no record: there is no such service, or the record was lost."""
        return self.lost(name) or unknown_service(name, self._known())

    def _known(self) -> tuple[str, ...]:
        try:
            return self.state.services()
        except ClocheError:
            return ()  # in a cluster, for users who may read a record and not list them

    def lost(self, name: str) -> ClocheError | None:
        """Return the error for a record that was lost; None if no revision is left without it."""
        numbers = [revision.number for revision in self.state.revisions(name)]
        return lost_record(name, numbers) if numbers else None

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

        def attempt() -> ServiceRecord:
            stored = self.stored(name)
            changed = rule(stored.record)
            self.put(stored, changed)
            return changed.record

        return retry_when_stale(attempt)

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


def retry_when_stale(attempt: Callable[[], T]) -> T:
    """Return the result of an attempt, made again if a record changed while it ran.

    Raises StaleError if the record still changes after several attempts.
    """
    for _ in range(_ATTEMPTS - 1):
        with suppress(StaleError):
            return attempt()
    return attempt()
