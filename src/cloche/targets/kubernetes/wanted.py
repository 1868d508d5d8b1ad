"""The objects of a service as they should be: what is applied, and what a plan compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose, ReplicaRange, ScaledBy
from cloche.clients.kubernetes import kinds
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import (
    account,
    adopted,
    autoscaler,
    deployment,
    disruption,
    horizontal,
    measures,
    metadata,
    monitor,
    network,
    probes,
    route,
    service,
    traffic,
)
from cloche.targets.kubernetes.seen import Seen
from cloche.targets.kubernetes.writing import replicas_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cloche.artifacts import Autoscale, Exposure
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.targets.desired import Desired, Placement

    Object = tuple[Kind, dict[str, Any]]
    Serves = Callable[[Kind], bool]
    """Tells whether a cluster has a kind."""


NOTHING = Seen()
"""What a cluster has where nobody looked."""
_MONITORED_SECONDS = 5.0
"""Between two readings of a pod's metrics where a PodMonitor says how often."""
_SCRAPED_SECONDS = 15.0
"""The same where someone else's configuration does: the usual."""


def of_service(desired: Desired, namespace: str, serves: Serves) -> Iterator[Object]:
    """Yield the objects of the whole service that no request passes through."""
    made = [each for each in desired.placements if each.adopted is None]
    if not made and (desired.placements or not desired.split):
        return  # what was adopted has what it needs
    name, by_hand = desired.service, desired.operated.front is not None
    yield kinds.NETWORK_POLICY, network.of(name, namespace, _exposure(desired), by_hand=by_hand)
    own = names.of_service(name)
    if any((each.pod or {})["spec"]["serviceAccountName"] == own for each in made):
        yield kinds.SERVICE_ACCOUNT, account.of(name, namespace)
    if serves(kinds.POD_MONITOR):
        exposure, scaled = _exposure(desired), desired.operated.autoscaled is not None
        often = _scrape_interval(exposure, serves) if scaled else exposure.scrape_interval
        yield kinds.POD_MONITOR, monitor.of(name, namespace, often)


def workload(placement: Placement, namespace: str) -> Object:
    """Return the Deployment of a revision, which all its other objects belong to."""
    if placement.adopted is not None:
        body = adopted.deployment(
            placement.service, placement.revision, namespace, placement.adopted
        )
        return kinds.DEPLOYMENT, body
    return kinds.DEPLOYMENT, deployment.of(placement, namespace)


def of_revision(
    placement: Placement,
    desired: Desired,
    found: Seen,
    owner: dict[str, Any] | None,
    *,
    namespace: str,
    serves: Serves,
) -> Iterator[Object]:
    """Yield the objects that go with the Deployment of a revision; `owner` is it, once it is."""
    if placement.adopted is not None:
        return
    within = _within(placement, desired, found)
    yield kinds.SERVICE, _owned(service.of_revision(placement, namespace), owner)
    if within.maximum >= disruption.LEAST:
        yield kinds.POD_DISRUPTION_BUDGET, _owned(disruption.of(placement, namespace), owner)
    follows, exposure = _follows(placement, desired), _exposure(desired)
    if follows is None:
        return
    asked = measures.of(placement, namespace, follows, _scrape_interval(exposure, serves))
    if exposure.scaled_by is ScaledBy.PROMETHEUS_ADAPTER:
        scaler = horizontal.of(placement, namespace, within, asked)
        yield kinds.HORIZONTAL_POD_AUTOSCALER, _owned(scaler, owner)
    elif exposure.prometheus_url is not None:
        scaler = autoscaler.of(placement, namespace, within, exposure.prometheus_url, asked)
        yield kinds.SCALED_OBJECT, _owned(scaler, owner)


def surplus(placement: Placement, desired: Desired, found: Seen) -> Iterator[Object]:
    """Yield the objects that went with the Deployment of a revision and no longer do."""
    name = names.of_revision(placement.service, placement.revision)
    scaled_by = _exposure(desired).scaled_by if _follows(placement, desired) is not None else None
    kept = {
        kinds.POD_DISRUPTION_BUDGET: _within(placement, desired, found).maximum >= disruption.LEAST,
        kinds.SCALED_OBJECT: scaled_by is ScaledBy.KEDA,
        kinds.HORIZONTAL_POD_AUTOSCALER: scaled_by is ScaledBy.PROMETHEUS_ADAPTER,
    }
    for kind, is_kept in kept.items():
        body = found.get(kind, name)
        if body is not None and not is_kept:
            yield kind, body


def of_traffic(desired: Desired, namespace: str, serves: Serves) -> Iterator[Object]:
    """Yield the objects that lead requests to the pods, in the order in which they change.

    A Gateway of Envoy is told how to send requests before its route leads to it.
    """
    if not desired.split:
        return
    name, exposure, most = desired.service, _exposure(desired), _most(desired.split)
    front = desired.operated.front
    if front is not None:
        is_adopted = any(each.adopted for each in desired.placements if each.revision == most)
        yield kinds.SERVICE, adopted.service(name, namespace, front, most, is_adopted=is_adopted)
        return
    yield kinds.SERVICE, service.of_service(name, namespace, most, exposure)
    if exposure.expose is not Expose.GATEWAY:
        return
    limit = desired.operated.timeout
    routed = route.of(name, namespace, _models(desired), desired.split, exposure, timeout=limit)
    if serves(kinds.BACKEND_TRAFFIC_POLICY):
        for protocol in traffic.PROTOCOLS:
            yield kinds.BACKEND_TRAFFIC_POLICY, traffic.of(name, namespace, protocol, routed)
    yield kinds.HTTP_ROUTE, routed


def unrouted(desired: Desired, found: Seen) -> Iterator[Object]:
    """Yield the objects that a service is no longer reached through."""
    main = found.main(desired.service)
    if not desired.split and main is not None:
        yield kinds.SERVICE, main
    if desired.split and _exposure(desired).expose is Expose.GATEWAY:
        return
    for kind in (kinds.HTTP_ROUTE, kinds.BACKEND_TRAFFIC_POLICY):
        yield from ((kind, each) for each in found.objects.get(kind, {}).values())


def leaving(desired: Desired, found: Seen) -> Iterator[Object]:
    """Yield the revisions without a placement, and with the last one the service's own objects.

    What was adopted runs on until then.
    """
    placed = {placement.revision for placement in desired.placements}
    stays = bool(placed or desired.split)
    for number, each in found.of_revision(kinds.DEPLOYMENT).items():
        if number not in placed and not (stays and adopted.is_adopted(each)):
            yield kinds.DEPLOYMENT, each
    if not stays:
        yield from ((kind, each) for kind, each in found.all() if kind is not kinds.DEPLOYMENT)


def is_asked(template: Mapping[str, Any]) -> bool:
    """Return whether pods wait for the ConfigMap of their revision."""
    volumes = template["spec"].get("volumes") or ()
    return any(volume["name"] == probes.VOLUME for volume in volumes)


def replicas(placement: Placement, desired: Desired, found: Seen) -> int | None:
    """Return how many replicas a revision gets; None once an autoscaler sets the number."""
    name = names.of_revision(placement.service, placement.revision)
    if _follows(placement, desired) is not None and found.scaler(name):
        return None
    within = _within(placement, desired, found)
    return max(within.minimum, min(placement.returns, within.maximum))


def _follows(placement: Placement, desired: Desired) -> Autoscale | None:
    """Return what the replicas of a revision follow; None where their number is set."""
    is_set = placement.exact or placement.adopted is not None
    return None if is_set else desired.operated.autoscaled


def _within(placement: Placement, desired: Desired, found: Seen) -> ReplicaRange:
    """Return between which numbers of replicas a revision is held."""
    least = _least(placement, desired, found)
    asked = placement.replicas
    if asked.fixed or placement.adopted is not None:
        return ReplicaRange.exactly(least)
    return ReplicaRange(min(least, asked.maximum), asked.maximum)


def _least(placement: Placement, desired: Desired, found: Seen) -> int:
    """Return how many replicas a revision has at least: as many as the live one has now."""
    wanted = placement.replicas.minimum
    if placement.exact or desired.split.get(placement.revision):
        return wanted
    answering = [found.workload(number) for number in desired.split]
    now = [replicas_of(each) for each in answering if each is not None]
    return max([wanted, *now])


def _owned(body: dict[str, Any], owner: dict[str, Any] | None) -> dict[str, Any]:
    return body if owner is None else metadata.owned_by(body, owner)


def _exposure(desired: Desired) -> Exposure:
    return desired.operated.reached


def _scrape_interval(exposure: Exposure, serves: Serves) -> float:
    """Return the seconds between two readings of a pod's metrics."""
    if exposure.scrape_interval is not None:
        return exposure.scrape_interval
    return _MONITORED_SECONDS if serves(kinds.POD_MONITOR) else _SCRAPED_SECONDS


def _most(split: Mapping[int, int]) -> int:
    """Return the revision with the greatest share: a Service leads to one."""
    return max(split, key=lambda number: (split[number], number))


def _models(desired: Desired) -> tuple[str, ...]:
    """Return the names of the models of all revisions that have a share."""
    names_of: Iterable[str] = (
        model
        for placement in desired.placements
        if desired.split.get(placement.revision)
        for model in placement.repository.models
    )
    return tuple(dict.fromkeys(names_of))
