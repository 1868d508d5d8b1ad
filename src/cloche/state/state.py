"""The contract of the state: services, the revisions that were made, and what is attached to them.

The state keeps and returns; it decides nothing. Rules are pure functions in `cloche.rollout`. No
two objects ever have to change together: a service's record changes as a whole and only from the
version that was read, a revision never changes, and attachments are only added. A write is durable
when its call returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import Attached, Golden, Revision, ServiceRecord, Verification


@dataclass(frozen=True, slots=True)
class Stored:
    """A service's record and its version, which is opaque and changes with each write."""

    record: ServiceRecord
    version: str


class State(Protocol):
    """Where services and revisions are kept; calls may come from any thread."""

    def close(self) -> None:
        """Close the storage; no call may follow."""

    # ── services ──────────────────────────────────────────────────────────────────────────────

    def services(self) -> tuple[str, ...]:
        """Return the names of all services, sorted."""

    def service(self, name: str) -> Stored | None:
        """Return a service's record and version; None where there is none of this name."""

    def put(self, record: ServiceRecord, *, expect: str | None) -> str:
        """Write a service's record over the version `expect`, or as a new one where it is None.

        Returns the new version. Raises StaleError `state.stale` where the service has another
        version by now, or exists or is gone against what was expected.
        """

    def delete(self, name: str, *, expect: str) -> None:
        """Remove a service's record, its revisions and what is attached to them.

        Raises StaleError like `put`. The numbers that its revisions had stay given.
        """

    def last_number(self, name: str) -> int:
        """Return the highest number that a revision of this name ever had, 0 where none had."""

    # ── revisions ─────────────────────────────────────────────────────────────────────────────

    def add_revision(self, revision: Revision) -> None:
        """Keep a revision. Raises StaleError `state.stale` where its number was given before."""

    def revisions(self, service: str) -> tuple[Revision, ...]:
        """Return the revisions of a service, oldest first."""

    def revision(self, service: str, number: int) -> Revision | None:
        """Return one revision; None where there is none of this number."""

    def attach(self, service: str, number: int, value: Golden | Verification) -> None:
        """Add to what is known of a revision. Raises NotFoundError for one that is not kept."""

    def attached(self, service: str, number: int) -> Attached:
        """Return what is attached to a revision, of each kind the latest."""
