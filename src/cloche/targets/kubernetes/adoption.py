"""Deployments that were made by hand: found, and found again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Adopted, Finding, Front, Severity, digest_of, encode
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.errors import ConflictError, ErrorGroup, NotFoundError
from cloche.targets.kubernetes import adoptable, names, pods, rights
from cloche.targets.kubernetes.objects.pod import PORTS
from cloche.targets.kubernetes.writing import replicas_of
from cloche.targets.target import ReplicaAddress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind

_LISTED = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A Deployment that can be adopted, with the Service before it."""

    adopted: Adopted
    front: Front
    address: str
    """`triton.vision.svc`, by which clients of the cluster reach it."""
    pod: str
    """One that is ready."""
    is_grpc_led_to: bool
    """Whether a port of the Service leads to that of gRPC."""
    findings: tuple[Finding, ...] = ()


def find(
    cluster: Cluster, namespace: str, service: str, deployment: str, named: str | None
) -> Found:
    """Return what is to be adopted as a service; `named` is the Service, where there are several.

    Changes nothing. Raises ClocheError `adopt.…`, an ErrorGroup for several, and
    `kubernetes.rights`.
    """
    missing = rights.missing(cluster, namespace, [rights.FORWARD])
    if missing:
        raise missing[0]
    workload = cluster.get(kinds.DEPLOYMENT, deployment, namespace)
    if workload is None:
        raise _absent(cluster, namespace, deployment)
    services = cluster.list(kinds.SERVICE, namespace).items
    front = adoptable.service_of(workload, services, named)
    around = _around(cluster, namespace, workload)
    errors = [*adoptable.problems(service, workload, front, around)]
    what = f"Deployment {deployment} cannot be adopted."
    ErrorGroup("adopt.refused", what, errors).raise_if_any()
    ready = next(each for each in around.pods if pods.is_ready(each))
    targets = {each.get("targetPort", each["port"]) for each in front["spec"].get("ports") or ()}
    return Found(
        _adopted(workload),
        Front(front["metadata"]["name"], front["spec"]["selector"]),
        f"{front['metadata']['name']}.{namespace}.svc",
        ready["metadata"]["name"],
        not targets.isdisjoint({"grpc", PORTS["grpc"]}),
        tuple(_beside(workload, front, services)),
    )


@contextmanager
def reach(cluster: Cluster, namespace: str, found: Found) -> Iterator[ReplicaAddress]:
    """Yield where a pod of what was found can be asked, while the block lasts."""
    with (
        cluster.forward(found.pod, namespace, PORTS["http"]) as http,
        cluster.forward(found.pod, namespace, PORTS["grpc"]) as grpc,
    ):
        over_grpc = f"127.0.0.1:{grpc}" if found.is_grpc_led_to else None
        yield ReplicaAddress(f"http://127.0.0.1:{http}", over_grpc)


def require_same(cluster: Cluster, namespace: str, adopted: Adopted) -> None:
    """Raise ConflictError `target.kubernetes.adopted` unless a Deployment is the adopted one."""
    name = adopted.deployment
    workload = cluster.get(kinds.DEPLOYMENT, name, namespace)
    if workload is not None and _adopted(workload).uid == adopted.uid:
        if _adopted(workload).template == adopted.template:
            return
        what = f"The pods of Deployment {name} were changed after it was adopted."
        hint = f"`kubectl rollout undo deployment/{name}` brings back what it was."
    else:
        what = f"Deployment {name}, which was adopted, is gone or was made anew."
        hint = "Roll back to a revision that Cloche made, or deploy its model."
    raise ConflictError("target.kubernetes.adopted", what, where=name, hint=hint)


def service(cluster: Cluster, namespace: str, front: Front) -> dict[str, Any]:
    """Return the Service that was adopted; ConflictError `target.kubernetes.front` if it is gone.

    To apply a part of it would make another one.
    """
    found = cluster.get(kinds.SERVICE, front.name, namespace)
    if found is None:
        what = f"Service {front.name}, which was adopted, is gone: no request arrives."
        hint = "Make it again as it was; the rest goes on by itself."
        raise ConflictError("target.kubernetes.front", what, where=front.name, hint=hint)
    return found


def _adopted(workload: dict[str, Any]) -> Adopted:
    spec, metadata = workload["spec"]["template"]["spec"], workload["metadata"]
    images = (str(each["image"]) for each in spec["containers"])
    return Adopted(
        metadata["name"], metadata["uid"], digest_of(encode(spec)), replicas_of(workload),
        tuple(images),
    )  # fmt: skip


def _absent(cluster: Cluster, namespace: str, deployment: str) -> NotFoundError:
    there = [
        str(each["metadata"]["name"])
        for each in cluster.list(kinds.DEPLOYMENT, namespace).items
        if names.SERVICE not in (each["metadata"].get("labels") or {})
    ]
    more = ", …" if len(there) > _LISTED else ""
    listed = f"Those there are: {', '.join(there[:_LISTED])}{more}." if there else "It has none."
    return NotFoundError(
        "adopt.deployment",
        f"There is no Deployment {deployment} in namespace {namespace}.",
        where=f"context {cluster.context}",
        hint=f"{listed} Name one with --deployment.",
    )


def _around(cluster: Cluster, namespace: str, workload: dict[str, Any]) -> adoptable.Surroundings:
    chosen = names.chosen_text(workload["spec"]["selector"])
    own = cluster.list(kinds.POD, namespace, labels=chosen).items
    ours = {each["metadata"]["uid"] for each in own}
    every = cluster.list(kinds.POD, namespace).items
    return adoptable.Surroundings(
        [each for each in own if not each["metadata"].get("deletionTimestamp")],
        [each for each in every if each["metadata"]["uid"] not in ours],
        [
            {**each, "kind": kind.name}
            for kind in (kinds.HORIZONTAL_POD_AUTOSCALER, kinds.SCALED_OBJECT)
            for each in _seen(cluster, kind, namespace)
        ],
    )


def _seen(cluster: Cluster, kind: Kind, namespace: str) -> Sequence[dict[str, Any]]:
    """Return the objects of a kind, as far as there are such, and they may be seen."""
    try:
        return cluster.list(kind, namespace).items if cluster.serves(kind) else ()
    except ForbiddenError:
        return ()


def _beside(
    workload: dict[str, Any], front: Any, services: Sequence[dict[str, Any]]
) -> Iterator[Finding]:
    """Yield the other Services that lead to a Deployment and go on doing so."""
    for each in adoptable.leading(workload, services):
        name = each["metadata"]["name"]
        if name != front["metadata"]["name"]:
            yield Finding(
                Severity.WARNING,
                "adopt.beside",
                f"Service {name} leads to Deployment {workload['metadata']['name']} too, and goes"
                " on doing so whatever is deployed.",
                where=name,
            )
