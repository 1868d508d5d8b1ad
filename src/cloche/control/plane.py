"""The contract of a control plane: kept by the engine and by the client of one that runs elsewhere.

A command does not know which of the two it has. Nothing here waits for a rollout: what is asked for
is recorded, and shows in the events and in the status as it is brought about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.artifacts import (
        DeployAnswer,
        Deployment,
        DeployPlan,
        Event,
        RevisionStatus,
        Verification,
    )


class ControlPlane(Protocol):
    """What can be asked of a control plane; calls may come from any thread.

    Each raises ClocheError: `service.unknown`, `revision.unknown`, and what it says itself.
    """

    def plan(self, deployment: Deployment) -> DeployPlan:
        """Return what `deploy` would change; nothing is changed."""

    def deploy(self, deployment: Deployment) -> DeployAnswer:
        """Record a deployment, which begins a rollout unless it is live or on its way already."""

    def rollback(self, name: str, to: int | None = None, *, verify: bool = True) -> DeployAnswer:
        """Begin a rollout to a revision on record, the one that was live before where `to` is None.

        Raises `rollback.nothing`, `rollback.under_way`, `rollback.live`, `rollback.gone`,
        `rollback.unverified`.
        """

    def scale(self, name: str, replicas: int) -> dict[str, Any]:
        """Change the number of replicas, with no new revision; returns the service's status."""

    def delete(self, name: str) -> None:
        """Begin to remove a service; it is gone when `service` does not know it any more."""

    def status(self) -> dict[str, Any]:
        """Return `{gateway, services, kept}` as they are now."""

    def service(self, name: str) -> dict[str, Any]:
        """Return the status of one service."""

    def revisions(self, name: str) -> tuple[RevisionStatus, ...]:
        """Return the revisions of a service, oldest first."""

    def revision(self, name: str, number: int) -> RevisionStatus:
        """Return one revision."""

    def history(self, name: str) -> dict[str, Any]:
        """Return `{service, rollouts, restorable, keep}`, the rollouts newest first.

        `restorable` are the numbers of the revisions that can be brought back, `keep` how many of
        those that were live are kept for that.
        """

    def verify(
        self, name: str, *, url: str | None = None, revision: int | None = None
    ) -> Verification:
        """Send a revision's golden request to one of its replicas, or to another server.

        The outcome is attached to the revision where a replica of it was asked.
        """

    def logs(
        self, name: str, *, lines: int = 100, follow: bool = False, revision: int | None = None
    ) -> Iterator[tuple[str, str]]:
        """Yield `(replica, line)` of the last lines, then new ones where they are followed."""

    def events(
        self, service: str | None = None, *, after: str = "", wait: float = 0.0
    ) -> tuple[Event, ...]:
        """Return events after a cursor; with `wait`, after so many seconds at most."""
