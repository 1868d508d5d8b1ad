"""What is to be said of a service before it is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Expose, Finding, Severity
from cloche.clients.kubernetes import kinds
from cloche.targets.kubernetes import names, seen, writing
from cloche.targets.kubernetes.gpus import preflight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.desired import Desired


def foreseen(cluster: Cluster, namespace: str, desired: Desired) -> tuple[Finding, ...]:
    """Return what a user should know before a service is served so."""
    return (
        *_scaled_by_others(cluster, namespace, desired),
        *_reached(desired),
        *_gpus(cluster, desired),
    )


def _gpus(cluster: Cluster, desired: Desired) -> Iterator[Finding]:
    if desired.asked_pod is not None:
        yield from preflight.findings(cluster, desired.asked_pod, desired.asked)


def _scaled_by_others(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[Finding]:
    kinds_read = (kinds.DEPLOYMENT, *seen.SCALERS)
    found = seen.read(cluster, namespace, desired.service, kinds_read)
    foreign = [
        each
        for name, each in found.objects[kinds.DEPLOYMENT].items()
        if writing.is_foreign(each) and not found.scaler(name)
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
            hint="It is bound to this revision, and the next one starts with `replicas`: write"
            " `autoscale:` in cloche.yaml, which goes with each revision.",
        )


def _reached(desired: Desired) -> Iterator[Finding]:
    exposure, front = desired.operated.reached, desired.operated.front
    asked = desired.operated.exposure or exposure
    if front is not None and asked.expose is not exposure.expose:
        yield Finding(
            Severity.WARNING,
            "target.kubernetes.front",
            f"The service is reached through Service {front.name}, which was adopted: expose:"
            f" {asked.expose} of the target has no effect.",
            where=front.name,
        )
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
