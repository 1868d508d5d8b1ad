"""The contract of the state: services, their revisions, and the attachments of revisions.

The state stores and decides nothing; the rules are pure functions in `cloche.rollout`. No two
objects have to change together: a service's record changes as a whole, and only from the version
that was read; a revision never changes; attachments are only added. A write is durable when its
call returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import Attached, Revision, ServiceRecord, Verification


@dataclass(frozen=True, slots=True)
class Stored:
    """A service's record and its version, which is opaque and changes with each write."""

    record: ServiceRecord
    version: str


class State(Protocol):
    """Stores services and revisions; calls may come from any thread."""

    def close(self) -> None:
        """Close the storage; no call may follow."""

    # ── services ──────────────────────────────────────────────────────────────────────────────

    def services(self) -> tuple[str, ...]:
        """Return the names of all services, sorted."""

    def lost(self) -> tuple[str, ...]:
        """Return the names that have revisions and no record, sorted, where that is a loss."""

    def service(self, name: str) -> Stored | None:
        """Return a service's record and version; None if it does not exist."""

    def put(self, record: ServiceRecord, *, expect: str | None) -> str:
        """Write a service's record over the version `expect`; None expects no record.

        Returns the new version. Raises StaleError `state.stale` if the service has another version
        by now, exists although it was not expected to, or is gone.
        """

    def delete(self, name: str, *, expect: str) -> None:
        """Remove a service's record, its revisions and their attachments.

        Raises StaleError like `put`. Whether the numbers of its revisions are given again is a
        property of the state: never in a home, whose database remembers the last; from 1 on on a
        cluster, where nothing is left of a deleted service.
        """

    def last_number(self, name: str) -> int:
        """Return the highest number that a revision of a service has had; 0 if there was none.

        The next one is free, unless it is given at the same time.
        """

    # ── revisions ─────────────────────────────────────────────────────────────────────────────

    def add_revision(self, revision: Revision) -> None:
        """Store a revision. Raises StaleError `state.stale` if its number was given before.

        A revision whose number no record names for a long time may be removed.
        """

    def revisions(self, service: str) -> tuple[Revision, ...]:
        """Return the revisions of a service, oldest first."""

    def revision(self, service: str, number: int) -> Revision | None:
        """Return one revision; None if it does not exist."""

    def attach(self, service: str, number: int, value: Verification) -> None:
        """Add an attachment to a revision. Raises NotFoundError if it does not exist."""

    def attached(self, service: str, number: int) -> Attached:
        """Return the latest attachment of each kind of a revision."""
