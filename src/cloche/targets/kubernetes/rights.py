"""What a user needs to be allowed in a namespace, asked before anything changes there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Expose, Exposure
from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError, ErrorGroup
from cloche.targets.kubernetes import seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind

_GROUP = "authorization.k8s.io/v1"
_READ = ("get", "list")
_KEEP = (*_READ, "create", "patch", "delete")
_STATE = (*_READ, "create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a kind of objects of a namespace."""

    verb: str
    kind: Kind
    subresource: str = ""

    @property
    def resource(self) -> str:
        """Return the resource as rights name it: `pods/log`."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def __str__(self) -> str:
        """Return the right as a sentence has it: `get pods/log`."""
        inner = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.kind.resource}{inner}"


FORWARD = Right("create", kinds.POD, "portforward")
INSTEAD = (Right("create", kinds.JOB), Right("delete", kinds.JOB))
"""Rights by which a pod is asked where no port may be forwarded to it."""


def needed(cluster: Cluster, exposure: Exposure) -> tuple[Right, ...]:
    """Return the rights that a deploy needs in this cluster."""
    kept = [
        kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT, kinds.NETWORK_POLICY,
        kinds.POD_DISRUPTION_BUDGET,
    ]  # fmt: skip
    if exposure.expose is Expose.GATEWAY:
        kept += [kinds.HTTP_ROUTE]
        if cluster.serves(kinds.BACKEND_TRAFFIC_POLICY):
            kept += [kinds.BACKEND_TRAFFIC_POLICY]
    if cluster.serves(kinds.POD_MONITOR):
        kept += [kinds.POD_MONITOR]
    # A service may have had such an object before: it is looked for.
    seen_too = [kind for kind in seen.OPTIONAL if kind not in kept and cluster.serves(kind)]
    of_kinds = [
        *((kind, _READ) for kind in seen_too),
        *((kind, _KEEP) for kind in kept),
        *((kind, _STATE) for kind in (kinds.CONTROLLER_REVISION, kinds.LEASE)),
        (kinds.CONFIG_MAP, (*_STATE, "patch")),
        (kinds.POD, _READ),
        (kinds.EVENT, ("list",)),
    ]
    return (
        *(Right(verb, kind) for kind, verbs in of_kinds for verb in verbs),
        Right("get", kinds.POD, "log"),
        FORWARD,
    )


def kept(kind: Kind) -> tuple[Right, ...]:
    """Return the rights to keep objects of a kind as they should be."""
    return tuple(Right(verb, kind) for verb in _KEEP)


def needed_of(cluster: Cluster, namespace: str, exposure: Exposure) -> tuple[Right, ...]:
    """Return the rights that the user needs: those to Jobs where they have them instead."""
    asked = needed(cluster, exposure)
    if allowed(cluster, namespace, FORWARD) or missing(cluster, namespace, INSTEAD):
        return asked
    return (*(right for right in asked if right != FORWARD), *INSTEAD)


def require(cluster: Cluster, namespace: str, exposure: Exposure) -> None:
    """Raise ClocheError `kubernetes.rights` with each right that is missing."""
    errors = missing(cluster, namespace, needed_of(cluster, namespace, exposure))
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    raise ErrorGroup("kubernetes.rights", "You lack rights that are needed there.", errors)


def missing(cluster: Cluster, namespace: str, asked: Iterable[Right]) -> list[ClocheError]:
    """Return an error for each right that the user lacks."""
    rules = _rules(cluster, namespace)
    hint = "Ask an administrator for a Role with these rights; the guide on clusters has one."
    return [
        ClocheError(
            "kubernetes.rights", f"You may not {right} in namespace {namespace}.",
            where=f"context {cluster.context}", hint=hint,
        )
        for right in asked
        if not _granted(right, rules) and not allowed(cluster, namespace, right)
    ]  # fmt: skip


def _rules(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """Return what the user is known to be allowed there, with one question."""
    review = {
        "apiVersion": _GROUP, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace},
    }  # fmt: skip
    answer = cluster.post(f"/apis/{_GROUP}/selfsubjectrulesreviews", review)
    return list(answer.get("status", {}).get("resourceRules") or ())


def _granted(right: Right, rules: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        _has(rule.get("verbs"), right.verb)
        and _has(rule.get("apiGroups"), right.kind.group)
        and _has(rule.get("resources"), right.resource)
        and not rule.get("resourceNames")
        for rule in rules
    )


def _has(words: Any, word: str) -> bool:
    given = words or ()
    return word in given or "*" in given


def allowed(cluster: Cluster, namespace: str, right: Right) -> bool:
    """Ask for one right: an authorizer need not be able to list them all."""
    attributes = {
        "namespace": namespace, "verb": right.verb, "group": right.kind.group,
        "resource": right.kind.plural,
        **({"subresource": right.subresource} if right.subresource else {}),
    }  # fmt: skip
    review = {
        "apiVersion": _GROUP, "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }  # fmt: skip
    answer = cluster.post(f"/apis/{_GROUP}/selfsubjectaccessreviews", review)
    return bool(answer["status"].get("allowed"))


SEEING = (Right("list", kinds.NODE), Right("list", kinds.POD))
"""Rights in all of a cluster by which it is known where GPUs are, and which are free."""


def cluster_role(rights: Iterable[Right], name: str) -> dict[str, Any]:
    """Return a ClusterRole with some rights."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list(_role_rules(rights)),
    }


def role(rights: Iterable[Right], namespace: str, name: str) -> dict[str, Any]:
    """Return a Role with some rights, one rule for each resource."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": list(_role_rules(rights)),
    }


def _role_rules(rights: Iterable[Right]) -> Iterator[dict[str, Any]]:
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.kind.group, right.resource), []).append(right.verb)
    for (group, resource), listed in verbs.items():
        yield {"apiGroups": [group], "resources": [resource], "verbs": listed}
