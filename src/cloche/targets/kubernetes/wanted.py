"""The objects of a service as they should be: what is applied, and what a plan compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose, Exposure
from cloche.clients.kubernetes import kinds
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import (
    account,
    deployment,
    disruption,
    metadata,
    monitor,
    network,
    probes,
    route,
    service,
    traffic,
)
from cloche.targets.kubernetes.writing import replicas_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cloche.clients.kubernetes.kinds import Kind
    from cloche.targets.kubernetes.seen import Seen
    from cloche.targets.target import Desired, Placement

    Object = tuple[Kind, dict[str, Any]]
    Serves = Callable[[Kind], bool]
    """Tells whether a cluster has a kind."""


def of_service(desired: Desired, namespace: str, serves: Serves) -> Iterator[Object]:
    """Yield the objects of the whole service that no request passes through."""
    if not desired.placements and not desired.split:
        return
    name = desired.service
    yield kinds.NETWORK_POLICY, network.of(name, namespace, _exposure(desired))
    own = names.of_service(name)
    if any((each.pod or {})["spec"]["serviceAccountName"] == own for each in desired.placements):
        yield kinds.SERVICE_ACCOUNT, account.of(name, namespace)
    if serves(kinds.POD_MONITOR):
        yield kinds.POD_MONITOR, monitor.of(name, namespace)


def workload(placement: Placement, namespace: str) -> Object:
    """Return the Deployment of a revision, which all its other objects belong to."""
    return kinds.DEPLOYMENT, deployment.of(placement, namespace)


def of_revision(
    placement: Placement, namespace: str, replicas: int, owner: dict[str, Any] | None
) -> Iterator[Object]:
    """Yield the objects that go with the Deployment of a revision; `owner` is it, once it is."""
    yield kinds.SERVICE, _owned(service.of_revision(placement, namespace), owner)
    if has_budget(replicas):
        yield kinds.POD_DISRUPTION_BUDGET, _owned(disruption.of(placement, namespace), owner)


def of_traffic(desired: Desired, namespace: str, serves: Serves) -> Iterator[Object]:
    """Yield the objects that lead requests to the pods, in the order in which they change.

    A Gateway of Envoy is told how to send requests before its route leads to it.
    """
    if not desired.split:
        return
    name, exposure = desired.service, _exposure(desired)
    yield kinds.SERVICE, service.of_service(name, namespace, _most(desired.split), exposure)
    if exposure.expose is not Expose.GATEWAY:
        return
    routed = route.of(name, namespace, _models(desired), desired.split, exposure)
    if serves(kinds.BACKEND_TRAFFIC_POLICY):
        for protocol in traffic.PROTOCOLS:
            yield kinds.BACKEND_TRAFFIC_POLICY, traffic.of(name, namespace, protocol, routed)
    yield kinds.HTTP_ROUTE, routed


def unrouted(desired: Desired, found: Seen) -> Iterator[Object]:
    """Yield the objects that a service is no longer reached through."""
    main = found.get(kinds.SERVICE, names.of_service(desired.service))
    if not desired.split and main is not None:
        yield kinds.SERVICE, main
    if desired.split and _exposure(desired).expose is Expose.GATEWAY:
        return
    for kind in (kinds.HTTP_ROUTE, kinds.BACKEND_TRAFFIC_POLICY):
        yield from ((kind, each) for each in found.objects.get(kind, {}).values())


def leaving(desired: Desired, found: Seen) -> Iterator[Object]:
    """Yield the revisions without a placement, and with the last one the service's own objects."""
    placed = {placement.revision for placement in desired.placements}
    for number, each in found.of_revision(kinds.DEPLOYMENT).items():
        if number not in placed:
            yield kinds.DEPLOYMENT, each
    if not placed and not desired.split:
        yield from ((kind, each) for kind, each in found.all() if kind is not kinds.DEPLOYMENT)


def has_budget(replicas: int) -> bool:
    """Return whether so many replicas have a PodDisruptionBudget."""
    return replicas >= disruption.LEAST


def is_asked(template: Mapping[str, Any]) -> bool:
    """Return whether pods wait for the ConfigMap of their revision."""
    volumes = template["spec"].get("volumes") or ()
    return any(volume["name"] == probes.VOLUME for volume in volumes)


def replicas(placement: Placement, desired: Desired, found: Seen) -> int:
    """Return how many replicas a revision gets: at least as many as the live one has now."""
    wanted = placement.replicas.minimum
    if desired.split.get(placement.revision):
        return wanted
    answering = [
        found.get(kinds.DEPLOYMENT, names.of_revision(desired.service, number))
        for number in desired.split
    ]
    now = [replicas_of(each) for each in answering if each is not None]
    return max([wanted, *now])


def _owned(body: dict[str, Any], owner: dict[str, Any] | None) -> dict[str, Any]:
    return body if owner is None else metadata.owned_by(body, owner)


def _exposure(desired: Desired) -> Exposure:
    return desired.operated.exposure or Exposure()


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
