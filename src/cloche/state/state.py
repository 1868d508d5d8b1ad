"""The contract of the state: what is declared, every revision ever made, and what happened.

A write is durable when the call returns. Revisions are only added; their attached fields (`phase`,
`golden`, `verification`, `failure`) change through `attach`. Every change appends an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, Event, Golden, Phase, Revision, Verification


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A declared service: the revision that should be live, the one that is, and its operation."""

    name: str
    wanted: int
    """Number of the revision that the last deploy asked for."""
    live: int | None
    """Number of the revision that has the traffic; None before the first."""
    operated: dict[str, Any]
    deleting: bool = False


class State(Protocol):
    """Where services, revisions and events are kept; its calls may come from any thread."""

    def close(self) -> None:
        """Let go of what it is kept in; no call may come after."""

    def services(self) -> tuple[ServiceRecord, ...]:
        """Return all services, by name."""

    def service(self, name: str) -> ServiceRecord | None:
        """Return one service, None when there is none of this name."""

    def deploy(self, deployment: Deployment, digest: str) -> Revision:
        """Record a new revision in phase `pending` as the wanted one, in one transaction.

        A wanted revision that had not ended becomes `superseded` in the same transaction. Raises
        `service.deleting` while the service is on its way out.
        """

    def revisions(self, service: str) -> tuple[Revision, ...]:
        """Return the revisions of a service, oldest first."""

    def revision(self, service: str, number: int) -> Revision | None:
        """Return one revision."""

    def attach(
        self,
        service: str,
        number: int,
        *,
        phase: Phase | None = None,
        golden: Golden | None = None,
        verification: Verification | None = None,
        failure: dict[str, Any] | None = None,
        by: str = "cloche",
    ) -> Revision:
        """Attach what came to be, with an event.

        A phase that has ended does not change again, except from `live` to `retired`: what is
        asked of it then is not done, and the revision that is returned shows it. A phase or golden
        request that is attached already is no event. `live` is reached by `set_live` alone.
        """

    def set_live(self, service: str, number: int) -> None:
        """Make a revision the live one and retire the one before it, in one transaction.

        Raises SupersededError when a later deploy took over before; doing it twice is no error.
        """

    def want(self, service: str, number: int, *, by: str) -> ServiceRecord:
        """Make the live revision the wanted one again, with an event.

        A wanted revision that had not ended becomes `superseded` in the same transaction.
        """

    def operate(self, service: str, operated: dict[str, Any], *, by: str) -> ServiceRecord:
        """Change how a service is operated, with an event."""

    def record(self, service: str, kind: str, what: str, **detail: Any) -> Event:
        """Append an event."""

    def events(
        self, service: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        """Return events in order, the first `limit` of those with a sequence above `after`.

        Of each service the latest are kept, some thousands, so that no crash loop fills a disk.
        """

    def mark_deleting(self, service: str, *, by: str) -> None:
        """Record that a service is to go; its replicas are removed before its records are.

        A wanted revision that had not ended becomes `superseded` in the same transaction.
        """

    def forget(self, service: str) -> None:
        """Remove the records of a service whose replicas are gone; its events stay.

        The name is free at once. Its next revision gets a number that it never had.
        """
