"""Whether a node of a cluster pulls an image: a Job is made that does nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cloche.clients.kubernetes import kinds
from cloche.errors import ClocheError, UnavailableError
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import placing, pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.artifacts import PodOptions
    from cloche.clients.kubernetes.cluster import Cluster

LIMIT = 60
"""Seconds that a node gets."""
_NOT_PULLED = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable"}
_PULLED = {"CreateContainerError", "RunContainerError"}
_NEVER = "/cloche-pulls-only"
"""A program that no image has: pulling is all that is wanted."""


def pull(
    cluster: Cluster,
    namespace: str,
    image: str,
    options: PodOptions,
    architecture: str,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Have a node that the pods of a target may come to pull an image; return its name.

    Job and pod go at once. Raises ClocheError `kubernetes.pull` if it cannot.
    """
    name = f"cloche-pull-{uuid4().hex[:8]}"
    cluster.create(kinds.JOB, _job(name, namespace, image, options, architecture))
    try:
        return _outcome(cluster, namespace, name, image, pause)
    finally:
        cluster.delete(kinds.JOB, name, namespace, foreground=True)


def _outcome(
    cluster: Cluster, namespace: str, name: str, image: str, pause: Callable[[float], None]
) -> str:
    why = "no pod was made"
    for _ in range(LIMIT):
        for each in cluster.list(kinds.POD, namespace, labels=f"job-name={name}").items:
            why = _waits_for(each)
            if not why:
                return str(each["spec"].get("nodeName", ""))
            if why.partition(":")[0] in _NOT_PULLED:
                raise ClocheError(
                    "kubernetes.pull",
                    f"Node {each['spec'].get('nodeName')} cannot pull from the registry: {why}",
                    where=image,
                    hint="Every node has to reach the registry; `pull_secret` of the target names"
                    " the secret by which nodes pull where it is not public.",
                )
        pause(1.0)
    raise UnavailableError(
        "kubernetes.pull", f"No node has pulled within {LIMIT} s: {why}.", where=image,
        hint="Correct `node_selector` and `tolerations` of the target, or try again.",
    )  # fmt: skip


def _waits_for(found: dict[str, Any]) -> str:
    """Return what a pod waits for, such as `ErrImagePull: …`; empty once its image is there."""
    status = found.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        if waiting is None or waiting.get("reason") in _PULLED:
            return ""
        return f"{waiting.get('reason')}: {waiting.get('message') or 'no more is said'}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node takes the pod ({condition.get('message')})"
    return "the pod has not begun"


def _job(
    name: str, namespace: str, image: str, options: PodOptions, architecture: str
) -> dict[str, Any]:
    small = {"cpu": "10m", "memory": "16Mi"}
    container = {
        "name": "pull",
        "image": image,
        "imagePullPolicy": "Always",
        "command": [_NEVER],
        "resources": {"requests": small, "limits": small},
        "securityContext": pod.container_security(),
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": pod.pod_security(),
        "containers": [container],
        **placing.where(None, options, architecture),
    }
    labels = {names.MANAGED_BY: names.CLOCHE}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": LIMIT,
            "ttlSecondsAfterFinished": LIMIT,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
