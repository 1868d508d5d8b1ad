"""What a cluster has of one service, read with one list for each kind, or by names.

An object by its name comes from the store of the API server. A list waits until the server's cache
is as new as the store, and costs more the more objects of others there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.at_once import at_once
from cloche.targets.kubernetes.objects import adopted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind

OF_REVISIONS = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.POD_DISRUPTION_BUDGET)
OF_SERVICES = (kinds.SERVICE_ACCOUNT, kinds.NETWORK_POLICY)
OPTIONAL = (
    kinds.HTTP_ROUTE, kinds.BACKEND_TRAFFIC_POLICY, kinds.POD_MONITOR, kinds.SCALED_OBJECT,
)  # fmt: skip
"""Kinds that a cluster may lack."""
SCALERS = (kinds.SCALED_OBJECT, kinds.HORIZONTAL_POD_AUTOSCALER)
"""What sets the number of replicas of a revision, by its name."""
EVERY = (*OF_REVISIONS, *OF_SERVICES, *OPTIONAL, SCALERS[1])
_FEW = 2
"""So many objects are asked for one by one; one list is less work for more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The objects of a service by kind and name."""

    objects: dict[Kind, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """Return an object; None if it is not there."""
        return self.objects.get(kind, {}).get(name)

    def scaler(self, name: str) -> dict[str, Any] | None:
        """Return the autoscaler of a revision; None if it has none."""
        return next((body for kind in SCALERS if (body := self.get(kind, name))), None)

    def of_revision(self, kind: Kind) -> dict[int, dict[str, Any]]:
        """Return the objects of a kind that belong to revisions, by number."""
        found: dict[int, dict[str, Any]] = {}
        for each in self.objects.get(kind, {}).values():
            number = names.revision_of(each["metadata"].get("labels") or {})
            if number is not None:
                found[number] = each
        return found

    def workload(self, number: int) -> dict[str, Any] | None:
        """Return the Deployment of a revision, whatever it is called; None if it is not there."""
        return self.of_revision(kinds.DEPLOYMENT).get(number)

    def main(self, service: str) -> dict[str, Any] | None:
        """Return the Service of a whole service: the one that was adopted, else that of its name.

        None if it is not there.
        """
        services = self.objects.get(kinds.SERVICE, {})
        by_hand = (each for each in services.values() if adopted.is_adopted(each))
        return next(by_hand, services.get(names.of_service(service)))

    def all(self) -> Iterator[tuple[Kind, dict[str, Any]]]:
        """Yield all objects with their kind."""
        for kind, objects in self.objects.items():
            for each in objects.values():
                yield kind, each


def read(
    cluster: Cluster,
    namespace: str,
    service: str,
    wanted: Iterable[Kind] | None = None,
    named: Mapping[Kind, Collection[str]] | None = None,
) -> Seen:
    """Return the objects of a service; `wanted` names some of the kinds.

    `named` are the names that can be told beforehand, where others of a kind make no difference.
    """
    served = [each for each in wanted or EVERY if each not in OPTIONAL or cluster.serves(each)]

    def items(kind: Kind) -> dict[str, dict[str, Any]]:
        objects = _read_kind(cluster, kind, namespace, service, (named or {}).get(kind))
        return {each["metadata"]["name"]: each for each in objects}

    found = dict(zip(served, at_once(partial(items, kind) for kind in served), strict=True))
    if kinds.POD in found:
        workloads = found.get(kinds.DEPLOYMENT, {}).values()
        found[kinds.POD] |= {
            each["metadata"]["name"]: each for each in adopted_pods(cluster, namespace, workloads)
        }
    return Seen(found)


def adopted_pods(
    cluster: Cluster, namespace: str, workloads: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield the pods of adopted Deployments, with the labels that Cloche's own pods would have."""
    for workload in workloads:
        if not adopted.is_adopted(workload):
            continue
        labels = workload["metadata"]["labels"]
        ours = {key: labels[key] for key in (names.SERVICE, names.REVISION)}
        chosen = names.chosen_text(workload["spec"]["selector"])
        for pod in cluster.list(kinds.POD, namespace, labels=chosen).items:
            metadata = pod["metadata"]
            yield {**pod, "metadata": {**metadata, "labels": metadata["labels"] | ours}}


def _read_kind(
    cluster: Cluster, kind: Kind, namespace: str, service: str, named: Collection[str] | None
) -> list[dict[str, Any]]:
    """Return the objects of a kind; no autoscalers where a user has no right to any."""
    try:
        if named is not None and len(named) <= _FEW:
            asked = [cluster.get(kind, name, namespace) for name in named]
            # What another made may have the name: a list would not have it.
            found = [each for each in asked if each is not None and names.is_of(service, each)]
        else:
            found = [*cluster.list(kind, namespace, labels=names.selector_text(service)).items]
    except ForbiddenError:
        if kind in SCALERS:
            return []
        raise
    if kind is kinds.HORIZONTAL_POD_AUTOSCALER:
        return [each for each in found if not _is_of_keda(each)]
    return found


def _is_of_keda(scaler: dict[str, Any]) -> bool:
    """Return whether KEDA made an autoscaler, which then has the labels of its ScaledObject."""
    owners = scaler["metadata"].get("ownerReferences") or ()
    return any(owner["kind"] == kinds.SCALED_OBJECT.name for owner in owners)
