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


def may_switch(before: GatewayState, wanted: GatewayState, healthy: Iterable[str]) -> Iterable[str]:
    """Yield the services whose routes can change without a request meeting no replica.

    A service with no route yet may always: an answer that says "no healthy replica" is better than
    one that says "no such service".
    """
    served = {each.name: _shares(each) for each in before.services}
    seen = set(healthy)
    for service in wanted.services:
        fresh = [
            number for number in _shares(service) if number not in served.get(service.name, ())
        ]
        names = {
            str(ClusterName(service.name, number, protocol))
            for number in fresh
            for protocol in clusters.PROTOCOLS
        }
        if not served.get(service.name) or names <= seen:
            yield service.name


def _shares(service: ServiceRoutes) -> set[int]:
    return {each.revision for each in service.revisions if each.weight > 0}


def switched(before: GatewayState, wanted: GatewayState, may: frozenset[str]) -> GatewayState:
    """Return the wanted state, with the old routes of those services that may not switch yet."""
    old = {each.name: each for each in before.services}
    return GatewayState(
        tuple(each if each.name in may else old.get(each.name, each) for each in wanted.services)
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
