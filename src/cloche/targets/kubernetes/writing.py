"""Bringing objects of a cluster to what they should be, and nothing where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import digest_of, encode
from cloche.clients.kubernetes import kinds
from cloche.errors import UnavailableError
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import adopted

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.state import Hold


_DEFAULT = 1
"""Replicas of a Deployment whose number nobody has set."""
_RESTARTS = "cloche-restart"
"""The field manager of restarts: what is applied next has no say about their annotation."""


class Writer:
    """Writes the objects of one namespace, for whoever holds the right to act for a service."""

    def __init__(self, cluster: Cluster, hold: Hold) -> None:
        self._cluster = cluster
        self._hold = hold
        self.takes_over = False
        """Whether fields that others own are set, too."""

    def apply(
        self, kind: Kind, body: dict[str, Any], current: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Apply an object unless the same was applied last; return it as it is now."""
        whole = marked(body)
        if current is not None and is_applied(whole, current):
            return current
        return self._cluster.apply(kind, whole, force=self.takes_over)

    def move(
        self, service: str, kind: Kind, body: dict[str, Any], current: dict[str, Any] | None
    ) -> None:
        """Apply an object that moves traffic: only over what was read, while acting is held."""
        whole = marked(body)
        if current is not None and is_applied(whole, current):
            return
        self.require(service)
        if current is not None:
            version = current["metadata"]["resourceVersion"]
            whole["metadata"] = {**whole["metadata"], "resourceVersion": version}
        force = self.takes_over or (current is not None and is_agreed(body, current))
        self._cluster.apply(kind, whole, force=force)

    def scale(self, kind: Kind, current: dict[str, Any], replicas: int, *, is_ours: bool) -> None:
        """Set the number of replicas, unless someone else has set it; `is_ours` says nobody has.

        What it was and will be is noted with it: an autoscaler sets the number without a note.
        """
        now = replicas_of(current)
        if now == replicas or (is_foreign(current) and not is_ours):
            return
        name, namespace = current["metadata"]["name"], current["metadata"]["namespace"]
        noted = {"annotations": {names.REPLICAS: f"{now},{replicas}"}}
        body = {"metadata": noted, "spec": {"replicas": replicas}}
        self._cluster.patch(kind, name, namespace, body)

    def restart(self, service: str, current: dict[str, Any], restarted_at: str) -> None:
        """Have the pods of a Deployment replaced by new ones, unless they are for this restart.

        As `kubectl rollout restart` does it: by an annotation of the pod template, which is not
        among the fields that are applied.
        """
        template = current["spec"]["template"]["metadata"]
        if (template.get("annotations") or {}).get(names.RESTARTED) == restarted_at:
            return
        self.require(service)
        metadata = current["metadata"]
        noted = {"metadata": {"annotations": {names.RESTARTED: restarted_at}}}
        body = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "spec": {"template": noted},
        }
        name, namespace = metadata["name"], metadata["namespace"]
        self._cluster.patch(kinds.DEPLOYMENT, name, namespace, body, manager=_RESTARTS)

    def remove(self, service: str, kind: Kind, current: dict[str, Any]) -> None:
        """Delete an object, if it is the one that was read, while acting is held.

        What owns others stays until they are gone, so that it is seen what still runs. What was
        adopted is given back instead, as it was found.
        """
        self.require(service)
        metadata = current["metadata"]
        if adopted.is_adopted(current):
            body = adopted.given_back(current)
            self._cluster.patch(kind, metadata["name"], metadata["namespace"], body)
            return
        if metadata.get("deletionTimestamp"):
            return
        self._cluster.delete(
            kind, metadata["name"], metadata["namespace"], uid=metadata["uid"],
            version=metadata["resourceVersion"], foreground=kind is kinds.DEPLOYMENT,
        )  # fmt: skip

    def require(self, service: str) -> None:
        """Raise UnavailableError `target.not_held` if another host may act for a service."""
        if not self._hold.held(service):
            what = f"Another command acts for {service} now."
            hint = "It carries on what is recorded; see `cloche status`."
            raise UnavailableError("target.not_held", what, where=service, hint=hint)


def is_agreed(body: dict[str, Any], current: dict[str, Any]) -> bool:
    """Return whether others who own the selector of a Service need not be asked.

    Its adoption was the yes, as long as nobody has changed it since.
    """
    if not adopted.is_adopted(body):
        return False
    return adopted.is_known(current["spec"].get("selector") or {}, body)


def is_applied(whole: dict[str, Any], current: dict[str, Any]) -> bool:
    """Return whether an object, as `marked` returns it, was applied last."""
    wanted = whole["metadata"]["annotations"][names.APPLIED]
    found = (current["metadata"].get("annotations") or {}).get(names.APPLIED)
    return bool(found == wanted) and not current["metadata"].get("deletionTimestamp")


def replicas_of(workload: dict[str, Any]) -> int:
    """Return how many replicas a Deployment should have."""
    return int(workload["spec"].get("replicas", _DEFAULT))


def is_foreign(workload: dict[str, Any]) -> bool:
    """Return whether someone else, such as an autoscaler, set the number of replicas."""
    noted = (workload["metadata"].get("annotations") or {}).get(names.REPLICAS, "")
    ours = {int(number) for number in noted.split(",") if number.isdigit()} or {_DEFAULT}
    return replicas_of(workload) not in ours


def marked(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the digest of all of it."""
    metadata = body["metadata"]
    annotations = {**metadata.get("annotations", {}), names.APPLIED: digest_of(encode(body))}
    return {**body, "metadata": {**metadata, "annotations": annotations}}
