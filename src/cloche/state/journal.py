"""The contract of the journal: what happened, in order, for people and for waiting commands.

No decision depends on the journal. An event is written after the change that it tells of: a crash
in between loses the event, not the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import Event


class Journal(Protocol):
    """Stores events; calls may come from any thread."""

    def close(self) -> None:
        """Close the storage; no call may follow."""

    def append(self, events: Iterable[Event]) -> None:
        """Add events in order; the journal sets their cursors.

        Where nothing is left of a deleted service, its events go, too. On a full disk they are left
        out: what they tell of has happened.
        """

    def read(
        self, service: str | None = None, *, after: str = "", limit: int = 1000
    ) -> tuple[Event, ...]:
        """Return the first `limit` events after the cursor `after`, in order.

        Only the latest events of a service are kept, a few thousand in a home and a few hundred on
        a cluster, so a crash loop cannot fill the disk. Raises UsageError `events.cursor` for a
        cursor that is not of this journal.
        """
