"""The autoscaler of a revision: a ScaledObject of KEDA, which asks Prometheus.

KEDA makes a HorizontalPodAutoscaler of it. See https://keda.sh/docs/latest/scalers/prometheus and
https://keda.sh/docs/latest/reference/scaledobject-spec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import measures, metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import ReplicaRange
    from cloche.targets.desired import Placement
    from cloche.targets.kubernetes.objects.measures import Measure

_POLLING_SECONDS = 5
_FAILURES = 3
_PERIOD_SECONDS = 15
"""How often a Kubernetes looks at its autoscalers, unless it is told otherwise."""
BEHAVIOR: dict[str, Any] = {
    # A surge of ten times is met in one step: nine more for each that runs.
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": 900, "periodSeconds": _PERIOD_SECONDS},
            {"type": "Pods", "value": 9, "periodSeconds": _PERIOD_SECONDS},
        ],
    },
    # Five minutes of less load, then at most half of the replicas in a minute.
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": 50, "periodSeconds": 60},
            {"type": "Pods", "value": 1, "periodSeconds": 60},
        ],
    },
}


def of(
    placement: Placement, namespace: str, within: ReplicaRange, url: str, asked: Iterable[Measure]
) -> dict[str, Any]:
    """Return the autoscaler of a revision, within some numbers of replicas.

    `url` is Prometheus's. While it does not answer the number of replicas stays.
    """
    triggers = [_trigger(measure, url) for measure in asked]
    shared = any(trigger["metricType"] == "AverageValue" for trigger in triggers)
    # Where no measure is shared KEDA takes no fallback; its autoscaler then stays as it is anyway.
    stays = {
        "failureThreshold": _FAILURES,
        "replicas": within.minimum,
        "behavior": "currentReplicasIfHigher",
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata.of_revision(placement, namespace),
        "spec": {
            "scaleTargetRef": {"name": names.of_revision(placement.service, placement.revision)},
            "minReplicaCount": within.minimum,
            "maxReplicaCount": within.maximum,
            "pollingInterval": _POLLING_SECONDS,
            **({"fallback": stays} if shared else {}),
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
            "triggers": triggers,
        },
    }


def _trigger(measure: measures.Measure, url: str) -> dict[str, Any]:
    """Return a trigger; an answer without a value is an error, never 0."""
    return {
        "type": "prometheus",
        "name": measure.name,
        "metricType": "AverageValue" if measure.per_replica else "Value",
        "metadata": {
            "serverAddress": url,
            "query": measure.query,
            "threshold": f"{measure.threshold:.15g}",
            "ignoreNullValues": "false",
        },
    }
