"""What is asked of a cluster before anything changes there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Capacity, Expose
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError, QuotaError
from cloche.errors import ClocheError, ConflictError, ErrorGroup, UsageError
from cloche.targets.kubernetes import keepers, names, requirements, scaling
from cloche.targets.kubernetes.gpus import preflight
from cloche.targets.kubernetes.objects import pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloche.artifacts import Exposure
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.desired import Desired

_NAMED = (kinds.SERVICE, kinds.DEPLOYMENT, kinds.HTTP_ROUTE, kinds.NETWORK_POLICY)
"""Kinds whose object of the service's name may be someone else's."""
_OVER_LIMIT = re.compile(r"must be less than or equal to (\S+) limit of")


def check(cluster: Cluster, namespace: str, desired: Desired) -> None:
    """Raise ClocheError, an ErrorGroup for several, for what can never be served there."""
    requirements.check_version(cluster)
    check_namespace(cluster, namespace)
    problems = [
        *scaling.problems(cluster, namespace, desired),
        *of_service(cluster, namespace, desired),
        *_pods(cluster, namespace, desired),
    ]
    if desired.asked_pod is not None:
        problems += requirements.pull_secrets(cluster, namespace, desired.asked_pod["spec"])
        problems += preflight.problems(cluster, desired.asked_pod, desired.asked)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        what = f"{desired.service} cannot be served in {namespace}."
        raise ErrorGroup("target.kubernetes.refused", what, problems)


def of_service(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[ClocheError]:
    """Yield what is in the way of a service's names and of how it is reached."""
    yield from _foreign(cluster, namespace, desired.service)
    exposure = desired.operated.reached
    if desired.operated.capacity is Capacity.PARTIAL and exposure.expose is not Expose.GATEWAY:
        yield _unsplit()
    if exposure.expose is Expose.GATEWAY:
        yield from _gateway(cluster, namespace, desired.service, exposure)


def check_namespace(cluster: Cluster, namespace: str) -> None:
    """Raise ClocheError for a namespace that is missing or being deleted."""
    try:
        found = cluster.get(kinds.NAMESPACE, namespace)
    except ForbiddenError:
        return  # who may work in a namespace need not see it; a write there will tell
    if found is None:
        raise ClocheError(
            "target.kubernetes.namespace",
            f"The cluster has no namespace {namespace}.",
            where=f"context {cluster.context}",
            hint="Make it with `cloche deploy --create-namespace`, or correct `namespace` of the"
            " target.",
        )
    if found["metadata"].get("deletionTimestamp"):
        what = f"The namespace {namespace} is being deleted."
        raise ConflictError(
            "target.kubernetes.namespace_ending", what, where=f"context {cluster.context}",
            hint="Wait until it is gone and make it again.",
        )  # fmt: skip


def _unsplit() -> ClocheError:
    return UsageError(
        "target.kubernetes.partial",
        "Without a Gateway a service cannot be shared between two revisions.",
        where="rollout.capacity",
        hint="Write expose: gateway, or rollout: {capacity: recreate}, which has an outage.",
    )


def _foreign(cluster: Cluster, namespace: str, service: str) -> Iterator[ClocheError]:
    name = names.of_service(service)
    for kind in _NAMED:
        if kind is kinds.HTTP_ROUTE and not cluster.serves(kind):
            continue
        found = cluster.get(kind, name, namespace)
        if found is not None and not names.is_of(service, found):
            yield ConflictError(
                "target.kubernetes.foreign",
                f"{kind.name} {name} in {namespace} is not of Cloche{_keeper(found)}.",
                where=f"context {cluster.context}",
                hint="Take another name for the service (`--name`), or another namespace; or have"
                " whoever keeps it remove it first.",
            )


def _pods(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[ClocheError]:
    """Ask for a pod of the template that is asked about, in a dry run.

    Pods are made by a controller: a user who may not make any may still deploy. Quotas are judged
    for all new pods, where there are some.
    """
    if desired.asked_pod is None:
        return
    name = names.of_revision(desired.service, 0)
    try:
        sample(cluster, namespace, desired.service, desired.asked_pod)
    except QuotaError:
        return
    except ClocheError as error:
        what = error.what.replace(f"Pod {name} in", f"the pods of {desired.service} in", 1)
        yield error.with_(what=what, hint=_hint_of_limit(error, desired.asked_pod) or error.hint)


def _hint_of_limit(error: ClocheError, template: dict[str, Any]) -> str | None:
    """Return what to do about a limit that pods do not set: a LimitRange sets it for them."""
    over = _OVER_LIMIT.search(error.what)
    containers = [each.get("resources", {}) for each in template["spec"]["containers"]]
    if over is None or any(over[1] in each.get("limits", {}) for each in containers):
        return None
    return (
        f"A LimitRange of the namespace sets that limit: ask for less with `resources.{over[1]}`,"
        f" set `resources.limits.{over[1]}` of the target, or have the LimitRange changed."
    )


def sample(
    cluster: Cluster, namespace: str, service: str, template: dict[str, Any]
) -> dict[str, Any]:
    """Return a pod of a template as the cluster would make it, and make none.

    Where the user may make none it is as the template has it. Raises ClocheError `kubernetes.…`,
    and QuotaError if there is no room for it now.
    """
    asked = pod.numbered(template, service, 0)
    metadata = {
        **asked["metadata"], "name": names.of_revision(service, 0), "namespace": namespace,
    }  # fmt: skip
    spec = {**asked["spec"], "serviceAccountName": _account(cluster, namespace, service, asked)}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    try:
        return cluster.create(kinds.POD, body, dry_run=True)
    except ForbiddenError:
        return body


def _account(cluster: Cluster, namespace: str, service: str, asked: dict[str, Any]) -> str:
    """Return the account of the pods, or one that is there while the service's own is not."""
    own, account = names.of_service(service), str(asked["spec"]["serviceAccountName"])
    if account == own and cluster.get(kinds.SERVICE_ACCOUNT, own, namespace) is None:
        return "default"
    return account


def _keeper(found: dict[str, Any]) -> str:
    """Return who keeps an object, as far as it says so: `: Helm keeps it`."""
    keeper = keepers.keeper_of(found)
    return f": {keeper} keeps it" if keeper is not None else ""


def _gateway(
    cluster: Cluster, namespace: str, service: str, exposure: Exposure
) -> Iterator[ClocheError]:
    where = f"context {cluster.context}"
    if not (cluster.serves(kinds.GATEWAY) and cluster.serves(kinds.HTTP_ROUTE)):
        yield ClocheError(
            "target.kubernetes.gateway_api",
            "The cluster has no Gateway API, and the target says expose: gateway.",
            where=where,
            hint="Install Gateway API with a controller such as Envoy Gateway, or write"
            " expose: clusterip.",
        )
        return
    gateway_namespace, _, name = (exposure.gateway or "").rpartition("/")
    if not _is_there(cluster, name, gateway_namespace):
        yield ClocheError(
            "target.kubernetes.gateway",
            f"There is no Gateway {exposure.gateway}.",
            where=where,
            hint="Correct `gateway` of the target: NAMESPACE/NAME.",
        )
    for other in _routes_of_host(cluster, exposure):
        metadata = other["metadata"]
        if metadata["namespace"] != namespace or not names.is_of(service, other):
            yield ConflictError(
                "target.kubernetes.host",
                f"The hostname {exposure.host} belongs to HTTPRoute"
                f" {metadata['namespace']}/{metadata['name']}.",
                where=where,
                hint="Take another `host` for the service.",
            )


def _is_there(cluster: Cluster, name: str, namespace: str) -> bool:
    """Return whether a Gateway is there, or may not be seen."""
    try:
        return cluster.get(kinds.GATEWAY, name, namespace) is not None
    except ForbiddenError:
        return True


def _routes_of_host(cluster: Cluster, exposure: Exposure) -> Iterator[dict[str, Any]]:
    for each in _routes(cluster):
        parents = {
            f"{parent.get('namespace', each['metadata']['namespace'])}/{parent['name']}"
            for parent in each["spec"].get("parentRefs") or ()
        }
        if exposure.host in (each["spec"].get("hostnames") or ()) and exposure.gateway in parents:
            yield each


def _routes(cluster: Cluster) -> Sequence[dict[str, Any]]:
    """Return all routes; none where only those of a namespace may be seen."""
    try:
        return cluster.list(kinds.HTTP_ROUTE).items
    except ForbiddenError:
        return ()
