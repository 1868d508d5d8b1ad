"""The contract of a control plane: the engine and the control client implement it.

A command does not know which of the two it has. No call waits for a rollout: a request is recorded,
and its progress shows in the events and the status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cloche.artifacts import (
        Consent,
        DeployAnswer,
        Deployment,
        DeployPlan,
        Event,
        Golden,
        ReplicaRange,
        RevisionStatus,
        Verification,
    )


class ControlPlane(Protocol):
    """The calls of a control plane, which may come from any thread.

    Each raises ClocheError: `service.unknown`, `revision.unknown`, and those in its docstring.
    """

    def plan(self, deployment: Deployment) -> DeployPlan:
        """Return what `deploy` would change, and change nothing."""

    def deploy(self, deployment: Deployment, *, accept: Collection[Consent] = ()) -> DeployAnswer:
        """Record a deployment and begin a rollout, unless its revision is live or under way.

        Raises `deploy.confirm`, before anything changes, for a question of its plan that is not in
        `accept`.
        """

    def rollback(self, name: str, to: int | None = None, *, verify: bool = True) -> DeployAnswer:
        """Begin a rollout to a recorded revision; None is the one that was live before.

        Raises `rollback.nothing`, `rollback.under_way`, `rollback.live`, `rollback.gone`,
        `rollback.unverified`.
        """

    def scale(self, name: str, replicas: int | ReplicaRange) -> dict[str, Any]:
        """Change the number of replicas without a new revision; return the service's status.

        A range is for a service that is autoscaled. The status has `findings`, too, if the place
        where it runs has something to say about it. Raises `service.autoscaled`,
        `service.not_autoscaled`.
        """

    def restart(self, name: str) -> dict[str, Any]:
        """Begin to replace each replica of the live revision; return the service's status.

        The replicas that were started for it have its `restarted_at`. Raises `restart.under_way`
        while a rollout is under way, and `restart.not_live`.
        """

    def delete(self, name: str) -> None:
        """Begin to remove a service; when it is gone, `service` raises `service.unknown`."""

    def status(self) -> dict[str, Any]:
        """Return the current `{gateway, services, kept, problems}`."""

    def service(self, name: str) -> dict[str, Any]:
        """Return the status of one service."""

    def revisions(self, name: str) -> tuple[RevisionStatus, ...]:
        """Return the revisions of a service, oldest first."""

    def revision(self, name: str, number: int) -> RevisionStatus:
        """Return one revision."""

    def history(self, name: str) -> dict[str, Any]:
        """Return `{service, rollouts, restorable, keep}`, the rollouts newest first.

        `restorable` has the numbers of the revisions that can be brought back. `keep` is how many
        formerly live revisions are kept for that.
        """

    def verify(
        self,
        name: str,
        *,
        url: str | None = None,
        revision: int | None = None,
        golden: Golden | None = None,
    ) -> Verification:
        """Send a revision's golden request to one of its replicas, or to another server.

        `golden` is another request. The outcome is attached to the revision if one of its replicas
        answered its own request.
        """

    def logs(
        self, name: str, *, lines: int = 100, follow: bool = False, revision: int | None = None
    ) -> Iterator[tuple[str, str]]:
        """Yield `(replica, line)` of the last lines, then of new ones with `follow`."""

    def events(
        self, service: str | None = None, *, after: str = "", wait: float = 0.0
    ) -> tuple[Event, ...]:
        """Return the events after a cursor; if there are none, wait up to `wait` seconds."""
