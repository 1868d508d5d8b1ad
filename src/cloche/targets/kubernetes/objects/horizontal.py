"""The autoscaler of a revision where prometheus-adapter measures: a HorizontalPodAutoscaler.

It asks for metrics of the pods of its Deployment, which the adapter reads from Prometheus by rules
that are the same for all services (`rules`). Pods without a metric never let it scale in, and while
there is none at all the number of replicas stays. See
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/ and
https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import measures, metadata
from cloche.targets.kubernetes.objects.autoscaler import BEHAVIOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import ReplicaRange
    from cloche.targets.desired import Placement
    from cloche.targets.kubernetes.objects.measures import Measure

_PREFIX = "cloche_"
_MATCHERS, _GROUP = "<<.LabelMatchers>>", "<<.GroupBy>>"
"""What the adapter puts into a query: the pods that are asked for, and the label of each."""


def of(
    placement: Placement, namespace: str, within: ReplicaRange, asked: Iterable[Measure]
) -> dict[str, Any]:
    """Return the autoscaler of a revision, within some numbers of replicas."""
    model = placement.repository.main.name
    target = names.of_revision(placement.service, placement.revision)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata.of_revision(placement, namespace),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": within.minimum,
            "maxReplicas": within.maximum,
            "behavior": BEHAVIOR,
            "metrics": [_metric(measure, model) for measure in asked],
        },
    }


def _metric(measure: Measure, model: str) -> dict[str, Any]:
    metric: dict[str, Any] = {"name": metric_of(measure.name)}
    if measure.per_replica:  # requests of the service, not those of its steps to each other
        metric["selector"] = {"matchLabels": {"model": model}}
    target = {"type": "AverageValue", "averageValue": _quantity(measure.threshold)}
    return {"type": "Pods", "pods": {"metric": metric, "target": target}}


def metric_of(measure: str) -> str:
    """Return the name of a measure as the adapter serves it."""
    return _PREFIX + measure.replace("-", "_")


def measure_of(metric: str) -> str:
    """Return what a metric of the adapter measures."""
    return metric.removeprefix(_PREFIX).replace("_", "-")


def _quantity(value: float) -> str:
    """Return a number as Kubernetes has it, in thousandths where it has a fraction."""
    return str(int(value)) if value.is_integer() else f"{max(1, round(value * 1000))}m"


def rules(interval: float) -> list[dict[str, Any]]:
    """Return the rules of the adapter; `interval` is the seconds between two readings of a pod.

    A mean over pods is taken by the autoscaler, so each is of one pod. Steps of a service wait in
    queues of their own: what they wait together counts for each request of the service, which the
    model with the most requests tells.
    """
    window = measures.window(interval)
    success = f"rate(nv_inference_request_success{{{_MATCHERS}}}{window})"
    failure = f"rate(nv_inference_request_failure{{{_MATCHERS}}}{window})"
    answered = f"sum by ({_GROUP}) ({success})"
    requests = f"{answered} + (sum by ({_GROUP}) ({failure}) or 0 * {answered})"
    waited = f"sum by ({_GROUP}) (rate(nv_inference_queue_duration_us{{{_MATCHERS}}}{window}))"
    most = f"max by ({_GROUP}) (sum by ({_GROUP}, model) ({success}))"
    queue = f"{waited} / 1000 / ({most} > 0) or 0 * {most}"
    busy = f"avg by ({_GROUP}) (DCGM_FI_DEV_GPU_UTIL{{{_MATCHERS}}})"
    exported = 'exported_namespace!="",exported_pod!=""'
    own = 'namespace!="",pod!="",exported_pod=""'
    return [
        _rule("requests-per-second", 'nv_inference_request_success{namespace!="",pod!=""}',
              requests),
        _rule("queue-time-ms", 'nv_inference_queue_duration_us{namespace!="",pod!=""}', queue),
        _rule("gpu-utilization", f"DCGM_FI_DEV_GPU_UTIL{{{exported}}}", busy, "exported_"),
        _rule("gpu-utilization", f"DCGM_FI_DEV_GPU_UTIL{{{own}}}", busy),
    ]  # fmt: skip


def _rule(measure: str, series: str, query: str, prefix: str = "") -> dict[str, Any]:
    """Return a rule; `prefix` is that of the labels by which the series name their pods."""
    resources = {f"{prefix}{each}": {"resource": each} for each in ("namespace", "pod")}
    return {
        "seriesQuery": series,
        "resources": {"overrides": resources},
        "name": {"as": metric_of(measure)},
        "metricsQuery": query,
    }
