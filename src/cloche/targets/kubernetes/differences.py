"""What applying a service would change in a cluster, and what is to be said of it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Expose, Exposure, Finding, Severity
from cloche.clients.kubernetes import kinds
from cloche.targets.kubernetes import names, observing, seen, writing
from cloche.targets.target import TargetChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.target import Desired


def changes(cluster: Cluster, namespace: str, desired: Desired) -> tuple[TargetChange, ...]:
    """Return what `apply` would do now."""
    return tuple(_changes(cluster, namespace, desired))


def _changes(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[TargetChange]:
    found = seen.read(cluster, namespace, desired.service)
    workloads = found.of_revision(kinds.DEPLOYMENT)
    for placement in desired.placements:
        current, wanted = workloads.get(placement.revision), placement.replicas.minimum
        if current is None:
            yield TargetChange(placement.revision, f"start {_count(wanted)}")
        elif not writing.is_foreign(current) and writing.replicas_of(current) != wanted:
            yield TargetChange(placement.revision, f"scale to {_count(wanted)}")
    placed = {placement.revision for placement in desired.placements}
    yield from (TargetChange(number, "stop") for number in workloads if number not in placed)
    if observing.split_of(found, desired.service) != dict(desired.split):
        shares = ", ".join(f"r{number} {share} %" for number, share in desired.split.items())
        yield TargetChange(None, f"route {shares or 'nothing'}")


def foreseen(cluster: Cluster, namespace: str, desired: Desired) -> tuple[Finding, ...]:
    """Return what a user should know before a service is served so."""
    return (*_scaled_by_others(cluster, namespace, desired), *_reached(desired))


def _scaled_by_others(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[Finding]:
    found = seen.read(cluster, namespace, desired.service, (kinds.DEPLOYMENT,))
    foreign = [
        each for each in found.objects[kinds.DEPLOYMENT].values() if writing.is_foreign(each)
    ]
    if not foreign:
        return
    scalers = {
        each["spec"]["scaleTargetRef"]["name"]: each["metadata"]["name"]
        for each in cluster.list(kinds.HORIZONTAL_POD_AUTOSCALER, namespace).items
    }
    for workload in foreign:
        name = workload["metadata"]["name"]
        who = f"HorizontalPodAutoscaler {scalers[name]}" if name in scalers else "Someone else"
        yield Finding(
            Severity.WARNING,
            "target.kubernetes.scaled",
            f"{who} set the replicas of Deployment {name} to {writing.replicas_of(workload)};"
            " Cloche leaves them so.",
            where=desired.service,
            hint="Remove the autoscaler, or let it set them.",
        )


def _reached(desired: Desired) -> Iterator[Finding]:
    exposure = desired.operated.exposure or Exposure()
    if exposure.expose is Expose.LOADBALANCER:
        yield Finding(
            Severity.WARNING,
            "target.kubernetes.public",
            "A load balancer of the cloud may be reached from everywhere, and asks for no key.",
            where=names.of_service(desired.service),
            hint="Write expose: gateway, and let the Gateway ask for keys.",
        )
    if exposure.expose is Expose.CLUSTERIP:
        yield Finding(
            Severity.NOTE,
            "target.kubernetes.connections",
            "Without a Gateway a connection stays with the revision that it was opened to: gRPC"
            " clients that keep one are moved when its pods end.",
            where=names.of_service(desired.service),
        )


def _count(replicas: int) -> str:
    return f"{replicas} replica{'s' if replicas > 1 else ''}"
