"""The contract of the journal: what happened, in order, for people and for those who wait.

Nothing is decided by the journal. An event is written after what it tells of, so one may be lost
to a crash in between; what it told of is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import Event


class Journal(Protocol):
    """Where events are kept; calls may come from any thread."""

    def close(self) -> None:
        """Close the storage; no call may follow."""

    def append(self, events: Iterable[Event]) -> None:
        """Add events in order; their cursors are given here."""

    def read(
        self, service: str | None = None, *, after: str = "", limit: int = 1000
    ) -> tuple[Event, ...]:
        """Return events in order: the first `limit` that come after the cursor `after`.

        Of each service the latest are kept, some thousands, so that no crash loop fills a disk.
        Raises UsageError `events.cursor` for a cursor that this journal did not give.
        """
