"""The Deployment of a revision. Its number of replicas is never applied, only scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import pod
from cloche.targets.kubernetes.objects.metadata import of_revision

if TYPE_CHECKING:
    from cloche.targets.desired import Placement


def of(placement: Placement, namespace: str) -> dict[str, Any]:
    """Return the Deployment of a placement that has a pod template."""
    service, number = placement.service, placement.revision
    template = pod.numbered(placement.pod or {}, service, number)
    metadata = of_revision(placement, namespace)
    if placement.schedule_limit is not None:
        noted = {names.SCHEDULE_LIMIT: f"{placement.schedule_limit:g}"}
        metadata["annotations"] = metadata.get("annotations", {}) | noted
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": names.selector(service, number)},
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": max(60, int(placement.start_limit) + 60),
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": template,
        },
    }
