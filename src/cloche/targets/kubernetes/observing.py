"""What a service is in a cluster: its pods, its traffic and its address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose, Exposure
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.targets.kubernetes import leftover, names, pods, scaling, seen
from cloche.targets.kubernetes.objects import adopted, route
from cloche.targets.kubernetes.objects.pod import PORTS
from cloche.targets.target import Endpoint, Replica, ReplicaPhase, ServiceObservation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cloche.clients.kubernetes.cluster import Cluster

_FINAL = frozenset({
    "NotAllowedByListeners", "NoMatchingListenerHostname", "NoMatchingParent", "UnsupportedValue",
})  # fmt: skip
"""Reasons of a refusal that waiting does not change."""
_WANTED = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.HTTP_ROUTE, kinds.POD, *seen.SCALERS)


def observe(cluster: Cluster, namespace: str, service: str) -> ServiceObservation:
    """Return the replicas and the traffic of a service."""
    found = seen.read(cluster, namespace, service, _WANTED)
    workloads = found.of_revision(kinds.DEPLOYMENT)
    ours = pods.replicas(
        found.objects[kinds.POD].values(),
        lambda pod: events_of(cluster, namespace, pod),
        cluster.now(),
        {number: limit for number, each in workloads.items() if (limit := _schedule_limit(each))},
    )
    left = leftover.of(found.objects[kinds.POD].values(), workloads)
    ours = tuple(
        replace(each, phase=ReplicaPhase.STOPPING) if each.id in left else each for each in ours
    )
    routed = found.get(kinds.HTTP_ROUTE, names.of_service(service))
    split = split_of(found, service)
    endpoint = _endpoint(cluster, namespace, service, found, routed)
    missing = _missing(found, service, ours, cluster.now())
    scaled = scaling.observed(cluster, namespace, found)
    return ServiceObservation(service, endpoint, split, (*ours, *missing), scaled)


def _schedule_limit(workload: dict[str, Any]) -> float | None:
    """Return the seconds that pods of a Deployment may wait for a node that is being added."""
    noted = (workload["metadata"].get("annotations") or {}).get(names.SCHEDULE_LIMIT, "")
    try:
        return float(noted)
    except ValueError:
        return None


def events_of(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> list[str]:
    """Return what kubelet and scheduler said of a pod, oldest first."""
    fields = f"involvedObject.uid={pod['metadata']['uid']}"
    events = cluster.list(kinds.EVENT, namespace, fields=fields).items
    return [str(event.get("message", "")) for event in events]


def _missing(
    found: seen.Seen, service: str, ours: tuple[Replica, ...], now: datetime
) -> Iterator[Replica]:
    """Yield a replica for each revision whose pods cannot all be made, and for one that goes."""
    there = {replica.revision for replica in ours}
    for number, deployment in found.of_revision(kinds.DEPLOYMENT).items():
        metadata, trouble = deployment["metadata"], pods.missing(deployment, now)
        if trouble is None and metadata.get("deletionTimestamp") and number not in there:
            trouble = pods.Trouble(ReplicaPhase.STOPPING, "")
        if trouble is not None:
            yield Replica(
                metadata["name"], service, number, trouble.phase, 0, metadata["creationTimestamp"],
                None, detail=trouble.what or None, remedy=trouble.remedy,
            )  # fmt: skip


def split_of(found: seen.Seen, service: str) -> dict[int, int]:
    """Return the percent of each revision; a route counts once its Gateway has taken it over."""
    routed = found.get(kinds.HTTP_ROUTE, names.of_service(service))
    if routed is not None and problem_of(routed) is not None:
        return {}
    return asked_split_of(found, service)


def asked_split_of(found: seen.Seen, service: str) -> dict[int, int]:
    """Return the percent of each revision, whether a Gateway has taken it over or not."""
    routed = found.get(kinds.HTTP_ROUTE, names.of_service(service))
    if routed is not None:
        return route.split_of(routed, service)
    number = _led_to(found, service)
    return {number: 100} if number else {}


def _led_to(found: seen.Seen, service: str) -> int | None:
    """Return the revision that the Service of a service leads to; None if it leads to none."""
    main = found.main(service)
    if main is None:
        return None
    selector = main["spec"].get("selector") or {}
    if adopted.is_adopted(main) and selector == adopted.selector_before(main):
        numbered = found.of_revision(kinds.DEPLOYMENT).items()
        return next((number for number, each in numbered if adopted.is_adopted(each)), None)
    return names.revision_of(selector)


def problem_of(routed: dict[str, Any]) -> str | None:
    """Return why no Gateway serves a route as it is now; None if one does."""
    parents = routed.get("status", {}).get("parents") or ()
    if not parents:
        return "No controller has looked at the route yet; is there one for the Gateway's class?"
    for parent in parents:
        for wanted in ("Accepted", "ResolvedRefs"):
            condition = _condition(parent, wanted, routed)
            if condition is None:
                return "The Gateway has not taken over the route yet."
            if condition["status"] != "True":
                return _refusal(condition)
    return None


def refusal_of(routed: dict[str, Any]) -> str | None:
    """Return why a Gateway will never serve a route as it is now; None if it may."""
    for parent in routed.get("status", {}).get("parents") or ():
        condition = _condition(parent, "Accepted", routed)
        if condition is not None and condition["reason"] in _FINAL:
            return _refusal(condition)
    return None


def _condition(parent: dict[str, Any], kind: str, routed: dict[str, Any]) -> dict[str, Any] | None:
    """Return a condition that is about the route as it is now."""
    for each in parent.get("conditions") or ():
        if each["type"] == kind:
            current = each.get("observedGeneration") == routed["metadata"].get("generation")
            return dict(each) if current else None
    return None


def _refusal(condition: dict[str, Any]) -> str:
    what = str(condition.get("message") or "").rstrip(".")
    return f"The Gateway refuses the route ({condition['reason']}): {what}."


def exposure_of(found: seen.Seen, service: str) -> Exposure:
    """Return how a service is reached, as far as its objects say it."""
    routed = found.get(kinds.HTTP_ROUTE, names.of_service(service))
    if routed is not None:
        parent = routed["spec"]["parentRefs"][0]
        host = (routed["spec"].get("hostnames") or [None])[0]
        return Exposure(Expose.GATEWAY, f"{parent.get('namespace')}/{parent['name']}", host)
    main = found.main(service) or {}
    is_public = main.get("spec", {}).get("type") == "LoadBalancer"
    return Exposure(Expose.LOADBALANCER if is_public else Expose.CLUSTERIP)


def _endpoint(
    cluster: Cluster,
    namespace: str,
    service: str,
    found: seen.Seen,
    routed: dict[str, Any] | None,
) -> Endpoint:
    exposure = exposure_of(found, service)
    if routed is not None and exposure.host is not None:
        port = _listener_port(cluster, exposure)
        suffix = "" if port == 80 else f":{port}"
        problem = problem_of(routed)
        return Endpoint(
            f"http://{exposure.host}{suffix}", f"{exposure.host}:{port}", problem is None, problem
        )
    main = found.main(service)
    host = f"{main['metadata']['name'] if main else names.of_service(service)}.{namespace}.svc"
    if exposure.expose is Expose.LOADBALANCER and main is not None:
        given = (main.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}])[0]
        host = given.get("ip") or given.get("hostname") or host
    problem = None if main is not None else "Its Service is not there yet."
    ports = _ports(main)
    return Endpoint(
        f"http://{host}:{ports['http']}", f"{host}:{ports['grpc']}", main is not None, problem
    )


def _ports(main: dict[str, Any] | None) -> dict[str, int]:
    """Return the ports by which a Service leads to those of pods: one made by hand has its own."""
    led = {
        each.get("targetPort", each["port"]): each["port"]
        for each in (main or {}).get("spec", {}).get("ports") or ()
    }
    return {name: led.get(name, led.get(port, port)) for name, port in PORTS.items()}


def _listener_port(cluster: Cluster, exposure: Exposure) -> int:
    """Return the port of the Gateway's listener for plain HTTP."""
    namespace, _, name = (exposure.gateway or "").rpartition("/")
    try:
        gateway = cluster.get(kinds.GATEWAY, name, namespace) or {}
    except ForbiddenError:
        gateway = {}
    listeners = gateway.get("spec", {}).get("listeners") or ()
    ports = [each["port"] for each in listeners if each.get("protocol") == "HTTP"]
    return int(ports[0]) if ports else 80
