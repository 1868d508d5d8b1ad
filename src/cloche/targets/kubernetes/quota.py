"""Whether the quotas of a namespace have room for all pods of a new revision.

A cluster judges one pod at a time, and refuses what does not fit when a rollout is under way.
https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Capacity
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError, QuotaError
from cloche.errors import ConflictError
from cloche.targets.kubernetes import admission, observing
from cloche.targets.kubernetes.quantities import amount
from cloche.targets.kubernetes.writing import replicas_of
from cloche.units import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.desired import Desired
    from cloche.targets.kubernetes.seen import Seen

_OF_ALL_PODS = {"NotTerminating", "NotBestEffort"}
"""Scopes that every pod of a service is in; what others count is not known."""
_PLAIN = {"cpu", "memory", "ephemeral-storage"}
"""Resources whose requests a quota may name without the word."""


def require_room(
    cluster: Cluster, namespace: str, desired: Desired, template: dict[str, Any], found: Seen
) -> None:
    """Raise ConflictError `target.kubernetes.quota` if all pods of a new revision do not fit.

    They come up beside the live ones, where the rollout does not replace these; any others of the
    service go before. Where quotas may not be read one pod is asked for (`kubernetes.quota`).
    """
    service, (count, going) = desired.service, incoming(desired, found)
    try:
        quotas = cluster.list(kinds.RESOURCE_QUOTA, namespace).items
    except ForbiddenError:
        if not going:
            admission.sample(cluster, namespace, service, template)
        return
    if not quotas:
        return
    each = of_pod(_sample(cluster, namespace, service, template)["spec"])
    for error in problems(quotas, each, count, service, _total(going)):
        raise error


def problems(
    quotas: Iterable[Mapping[str, Any]],
    each: Mapping[str, Decimal],
    count: int,
    service: str,
    freed: Mapping[str, Decimal],
) -> Iterator[ConflictError]:
    """Yield which quotas have no room for so many pods that take `each`, once others are gone.

    One that was lowered below what is taken keeps out only who takes more of that.
    """
    for quota in quotas:
        for resource, room in _room(quota, freed):
            one = each.get(resource, Decimal(0))
            if one and one * count > room:
                pods = f"{count_text(count, 'pod')} of a new revision of {service}"
                yield _too_small(quota, resource, pods, room / one)


def incoming(desired: Desired, found: Seen) -> tuple[int, list[dict[str, Any]]]:
    """Return how many pods a new revision gets, and the Deployments whose pods go before."""
    running = found.of_revision(kinds.DEPLOYMENT)
    split = observing.asked_split_of(found, desired.service)
    live = [running[each] for each in split if each in running]
    replaces = desired.operated.capacity not in {None, Capacity.SURGE}
    going = [each for each in running.values() if replaces or each not in live]
    return max([desired.operated.replica_range.minimum, *map(replicas_of, live)]), going


def _sample(
    cluster: Cluster, namespace: str, service: str, template: dict[str, Any]
) -> dict[str, Any]:
    """Return a pod as the cluster would make it, with its defaults if it has room for one now."""
    try:
        return admission.sample(cluster, namespace, service, template)
    except QuotaError:
        return template


def of_pod(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return what a pod takes of each resource, by the names that quotas have.

    A request that is missing is its limit, as in a cluster.
    """
    found: dict[str, Decimal] = {"pods": Decimal(1), "count/pods": Decimal(1)}
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for kind, given in {"limits": limits, "requests": {**limits, **requests}}.items():
            for resource, text in given.items():
                value = amount(str(text)) or Decimal(0)
                for name in _names(kind, resource):
                    found[name] = found.get(name, Decimal(0)) + value
    return found


def _names(kind: str, resource: str) -> Iterator[str]:
    yield f"{kind}.{resource}"
    if kind == "requests" and resource in _PLAIN:
        yield resource


def _total(deployments: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for each in deployments:
        there = Decimal((each.get("status") or {}).get("replicas", 0))
        for name, value in of_pod(each["spec"]["template"]["spec"]).items():
            total[name] = total.get(name, Decimal(0)) + there * value
    return total


def _room(quota: Mapping[str, Any], freed: Mapping[str, Decimal]) -> Iterator[tuple[str, Decimal]]:
    """Yield what a quota leaves of each resource, once what goes is gone."""
    spec, status = quota["spec"], quota.get("status") or {}
    if spec.get("scopeSelector") or not set(spec.get("scopes") or ()) <= _OF_ALL_PODS:
        return
    for resource, text in (status.get("hard") or {}).items():
        hard, used = amount(text), amount((status.get("used") or {}).get(resource, ""))
        if hard is not None and used is not None:
            yield resource, hard - used + freed.get(resource, Decimal(0))


def _too_small(quota: Mapping[str, Any], resource: str, pods: str, fit: Decimal) -> ConflictError:
    name, status = quota["metadata"]["name"], quota["status"]
    used, hard = status["used"][resource], status["hard"][resource]
    return ConflictError(
        "target.kubernetes.quota",
        f"The ResourceQuota {name} has room for {max(0, int(fit))} of the {pods}:"
        f" {used} of {hard} {resource} are taken.",
        where=f"namespace {quota['metadata']['namespace']}",
        hint="Ask for less (`resources`, `replicas`), have the quota raised, or write"
        " rollout: {capacity: recreate}, which ends the live pods first.",
    )
