"""When the routes of a service may change, and the state after a change."""

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
    from collections.abc import Collection, Iterable


def ready_to_switch(
    before: GatewayState, wanted: GatewayState, healthy: Iterable[str]
) -> Iterable[str]:
    """Yield the services whose new routes have a healthy replica in every new cluster.

    A service without routes is always ready: the answer "no healthy replica" is better than "no
    such service".
    """
    served = _served_revisions(before)
    seen = set(healthy)
    for service in wanted.services:
        names = {
            str(ClusterName(service.name, number, protocol))
            for number in _revisions_with_traffic(service) - served.get(service.name, set())
            for protocol in clusters.PROTOCOLS
        }
        if not served.get(service.name) or names <= seen:
            yield service.name


def services_to_await(before: GatewayState, wanted: GatewayState) -> Iterable[str]:
    """Yield the services to wait for: every revision that newly gets traffic has replicas."""
    served = _served_revisions(before)
    for service in wanted.services:
        known = served.get(service.name, set())
        new = [
            revision
            for revision in service.revisions
            if revision.weight > 0 and revision.revision not in known
        ]
        if all(revision.endpoints for revision in new):
            yield service.name


def _served_revisions(state: GatewayState) -> dict[str, set[int]]:
    return {each.name: _revisions_with_traffic(each) for each in state.services}


def _revisions_with_traffic(service: ServiceRoutes) -> set[int]:
    return {each.revision for each in service.revisions if each.weight > 0}


def switch(before: GatewayState, wanted: GatewayState, ready: frozenset[str]) -> GatewayState:
    """Return the wanted state, but with the old routes of services that are not ready."""
    old = {each.name: each for each in before.services}
    return GatewayState(
        tuple(each if each.name in ready else old.get(each.name, each) for each in wanted.services)
    )


def without(wanted: GatewayState, refused: Collection[str], before: GatewayState) -> GatewayState:
    """Return the wanted state, but with the old routes of refused services, if they had any."""
    old = {each.name: each for each in before.services}
    return GatewayState(
        tuple(
            old.get(each.name, each) if each.name in refused else each
            for each in wanted.services
            if each.name not in refused or each.name in old
        )
    )


def decode(document: dict[str, Any]) -> GatewayState:
    """Return a state from its JSON; raises KeyError or TypeError for another form."""
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
                        revision.get("stateful", False),
                        revision.get("spread", False),
                        revision.get("decoupled", False),
                        revision.get("as_streams", False),
                    )
                    for revision in service["revisions"]
                ),
                service.get("numbered", False),
                tuple(service.get("plain", ())),
                tuple(service.get("aliases", ())),
                service.get("timeout"),
            )
            for service in document["services"]
        )
    )
