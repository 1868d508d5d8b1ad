"""Whether a cluster has room for all pods of a new revision: its nodes, quotas and GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import platform, quota
from cloche.targets.kubernetes.gpus import room as gpus

if TYPE_CHECKING:
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.targets.desired import Desired
    from cloche.targets.kubernetes.seen import Seen


def require(
    cluster: Cluster, namespace: str, desired: Desired, template: dict[str, Any], found: Seen
) -> None:
    """Raise ConflictError `target.kubernetes.…` if not all pods of a template fit.

    `found` is what runs of the service.
    """
    platform.require(cluster, template)
    quota.require_room(cluster, namespace, desired, template, found)
    gpus.require(cluster, namespace, desired, template, found)
