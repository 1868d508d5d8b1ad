"""When the routes of a service may change, and the state that they were last made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import clusters
from cloche.targets.local.envoy.services import (
    ClusterName,
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def ready_to_switch(
    before: GatewayState, wanted: GatewayState, healthy: Iterable[str]
) -> Iterable[str]:
    """Yield the services whose routes can change with a replica for every request.

    A service with no route yet always is: an answer that says "no healthy replica" is better than
    one that says "no such service".
    """
    served = _served(before)
    seen = set(healthy)
    for service in wanted.services:
        names = {
            str(ClusterName(service.name, number, protocol))
            for number in _shares(service) - served.get(service.name, set())
            for protocol in clusters.PROTOCOLS
        }
        if not served.get(service.name) or names <= seen:
            yield service.name


def awaited(before: GatewayState, wanted: GatewayState) -> Iterable[str]:
    """Yield the services that are worth waiting for: all that gets traffic has replicas."""
    served = _served(before)
    for service in wanted.services:
        known = served.get(service.name, set())
        new = [one for one in service.revisions if one.weight > 0 and one.revision not in known]
        if all(one.endpoints for one in new):
            yield service.name


def _served(state: GatewayState) -> dict[str, set[int]]:
    return {each.name: _shares(each) for each in state.services}


def _shares(service: ServiceRoutes) -> set[int]:
    return {each.revision for each in service.revisions if each.weight > 0}


def switched(before: GatewayState, wanted: GatewayState, ready: frozenset[str]) -> GatewayState:
    """Return the wanted state, with the old routes of those services that are not ready yet."""
    old = {each.name: each for each in before.services}
    return GatewayState(
        tuple(each if each.name in ready else old.get(each.name, each) for each in wanted.services)
    )


def decode(document: dict[str, Any]) -> GatewayState:
    """Return the state that was written as JSON; raises KeyError or TypeError for another form."""
    return GatewayState(
        tuple(
            ServiceRoutes(
                service["name"],
                tuple(service["models"]),
                tuple(
                    RevisionEndpoints(
                        revision["revision"],
                        revision["weight"],
                        tuple(Endpoint(**each) for each in revision["endpoints"]),
                    )
                    for revision in service["revisions"]
                ),
                service.get("numbered", False),
            )
            for service in document["services"]
        )
    )
