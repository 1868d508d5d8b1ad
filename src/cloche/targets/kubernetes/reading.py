"""What a cluster has of a service whose objects can be told by their names.

They are asked for by name, which waits for nothing and costs the same among any number of services.
Only Deployments are listed: those of revisions that nobody knows of are to go, too, and take with
them what they own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.clients.kubernetes import kinds
from cloche.targets.kubernetes import names, seen
from cloche.targets.kubernetes.objects import traffic

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.targets.desired import Desired

_OTHERS = tuple(kind for kind in seen.EVERY if kind is not kinds.DEPLOYMENT)


def everything(cluster: Cluster, namespace: str, desired: Desired) -> seen.Seen:
    """Return the objects of a service, with all its Deployments."""
    if not stays(desired):
        return seen.read(cluster, namespace, desired.service)
    found = workloads(cluster, namespace, desired.service)
    return _with_others(cluster, namespace, desired, found)


def placed(cluster: Cluster, namespace: str, desired: Desired) -> seen.Seen:
    """Return the objects of a service, without Deployments of revisions that it should not have.

    Of a service that goes everything is returned.
    """
    if not stays(desired):
        return seen.read(cluster, namespace, desired.service)
    named = {kinds.DEPLOYMENT: _placed(desired)}
    found = seen.read(cluster, namespace, desired.service, named, named)
    return _with_others(cluster, namespace, desired, found)


def workloads(cluster: Cluster, namespace: str, service: str, since: str = "") -> seen.Seen:
    """Return all Deployments of a service; `since` as for `Cluster.list`."""
    listing = cluster.list(
        kinds.DEPLOYMENT, namespace, labels=names.selector_text(service), since=since
    )
    return seen.Seen({kinds.DEPLOYMENT: {each["metadata"]["name"]: each for each in listing.items}})


def stays(desired: Desired) -> bool:
    """Return whether anything is left of a service."""
    return bool(desired.placements or desired.split)


def _placed(desired: Desired) -> set[str]:
    """Return the names of the Deployments of all revisions that run or have a share."""
    named = {number: names.of_revision(desired.service, number) for number in desired.split}
    for each in desired.placements:
        own = names.of_revision(each.service, each.revision)
        named[each.revision] = own if each.adopted is None else each.adopted.deployment
    return set(named.values())


def _with_others(cluster: Cluster, namespace: str, desired: Desired, found: seen.Seen) -> seen.Seen:
    """Return Deployments with what goes with them, and with the objects of the whole service.

    What a Deployment that is gone has owned goes as well, and is made anew by its name: it need not
    be read.
    """
    named = _named(desired, found.objects[kinds.DEPLOYMENT])
    others = seen.read(cluster, namespace, desired.service, _OTHERS, named)
    return seen.Seen({**found.objects, **others.objects})


def _named(desired: Desired, workloads: Collection[str]) -> dict[Kind, Collection[str]]:
    """Return the names of the objects beside some Deployments."""
    own, front = names.of_service(desired.service), desired.operated.front
    main = own if front is None else front.name
    return {
        **dict.fromkeys((*seen.OF_SERVICES, kinds.HTTP_ROUTE, kinds.POD_MONITOR), (own,)),
        **dict.fromkeys((kinds.POD_DISRUPTION_BUDGET, *seen.SCALERS), workloads),
        kinds.BACKEND_TRAFFIC_POLICY: [
            traffic.name_of(own, protocol) for protocol in traffic.PROTOCOLS
        ],
        kinds.SERVICE: {main, *workloads},
    }
