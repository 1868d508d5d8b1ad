"""Autoscalers: what they need of a cluster, and what they make of a revision now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Exposure, ScaledBy
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.errors import ForbiddenError
from cloche.errors import ClocheError, ConflictError, UsageError
from cloche.refusals import no_prometheus
from cloche.targets.kubernetes import names, rights
from cloche.targets.kubernetes.objects import horizontal
from cloche.targets.kubernetes.quantities import amount
from cloche.targets.target import Scaling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.clients.kubernetes.kinds import Kind
    from cloche.targets.desired import Desired
    from cloche.targets.kubernetes.seen import Seen

METRICS = {
    ScaledBy.KEDA: "v1beta1.external.metrics.k8s.io",
    ScaledBy.PROMETHEUS_ADAPTER: "v1beta1.custom.metrics.k8s.io",
}
"""The APIs from which autoscalers of a cluster read what is measured."""
_PROGRAMS = {
    ScaledBy.KEDA: "KEDA's metrics server", ScaledBy.PROMETHEUS_ADAPTER: "prometheus-adapter",
}  # fmt: skip
_FIXED = "write a number of replicas."
_PROMETHEUS_PORT = 9090
_METRIC = re.compile(r"s(\d+)-")
"""The name that KEDA gives a metric begins with the number of its trigger."""


def problems(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[ClocheError]:
    """Yield why the number of replicas cannot follow what it is to follow there."""
    replicas, where = desired.operated.replica_range, f"context {cluster.context}"
    if replicas.minimum < 1:
        yield UsageError(
            "target.kubernetes.replicas",
            "Nothing holds requests while no replica runs.",
            where="replicas",
            hint="Write 1 or more.",
        )
    if replicas.fixed:
        return
    if desired.operated.autoscale is None:
        yield UsageError(
            "target.kubernetes.autoscale",
            "`replicas` is a range, and nothing says what the number follows.",
            where="replicas",
            hint=f"Write autoscale: {{requests_per_second: 100}}, or {_FIXED}",
        )
        return
    exposure = desired.operated.exposure or Exposure()
    if exposure.scaled_by is ScaledBy.PROMETHEUS_ADAPTER:
        yield from _reading(cluster, namespace, desired, kinds.HORIZONTAL_POD_AUTOSCALER)
        return
    if exposure.prometheus_url is None:
        hint = f"Write prometheus_url at the target{_likely(cluster, exposure)}"
        yield no_prometheus("targets", hint)
    if not cluster.serves(kinds.SCALED_OBJECT):
        yield ClocheError(
            "target.kubernetes.keda",
            "The cluster has no KEDA, which scales by what Prometheus measures.",
            where=where,
            hint="Install KEDA 2.17 or newer (https://keda.sh), write autoscaler:"
            f" prometheus-adapter at the target where that runs, or {_FIXED}",
        )
        return
    yield from _reading(cluster, namespace, desired, kinds.SCALED_OBJECT)


def _reading(
    cluster: Cluster, namespace: str, desired: Desired, kind: Kind
) -> Iterator[ClocheError]:
    """Yield why autoscalers of a kind cannot be made, read nothing, or are others' already."""
    yield from rights.missing(cluster, namespace, rights.kept(kind))
    yield from _unanswered(cluster, (desired.operated.exposure or Exposure()).scaled_by)
    yield from _others(cluster, namespace, desired)


def _likely(cluster: Cluster, exposure: Exposure) -> str:
    """Return the URL of what looks like the Prometheus of a namespace, as the end of a hint."""
    example = "http://prometheus.monitoring.svc:9090"
    for each in _listed(cluster, kinds.SERVICE, exposure.prometheus):
        ports = [port["port"] for port in each["spec"].get("ports") or ()]
        if _PROMETHEUS_PORT in ports:
            name = each["metadata"]["name"]
            return f": http://{name}.{exposure.prometheus}.svc:{_PROMETHEUS_PORT} looks like it."
    return f", such as {example}."


def _listed(cluster: Cluster, kind: Kind, namespace: str | None) -> Sequence[dict[str, Any]]:
    """Return the objects of a namespace, as far as they may be seen."""
    try:
        return () if namespace is None else cluster.list(kind, namespace).items
    except ForbiddenError:
        return ()


def _unanswered(cluster: Cluster, scaled_by: ScaledBy) -> Iterator[ClocheError]:
    """Yield that what autoscalers read does not answer."""
    api, program = METRICS[scaled_by], _PROGRAMS[scaled_by]
    try:
        served = cluster.get(kinds.API_SERVICE, api)
    except ForbiddenError:
        return  # what does not answer then shows with the first replica
    trouble = (
        "nothing is registered for it." if served is None else _why(served, "Available", "False")
    )
    if trouble is not None:
        yield ClocheError(
            "target.kubernetes.metrics_api",
            f"No autoscaler can read the metrics of {program}: {trouble}",
            where=f"context {cluster.context}, APIService {api}",
            hint=f"Look at the pods of {program}.",
            retriable=True,
        )


def _others(cluster: Cluster, namespace: str, desired: Desired) -> Iterator[ClocheError]:
    """Yield the autoscalers of others that scale Deployments of the service."""
    ours = {names.of_revision(desired.service, each.revision) for each in desired.placements}
    for each in _listed(cluster, kinds.HORIZONTAL_POD_AUTOSCALER, namespace):
        scaled, labels = each["spec"]["scaleTargetRef"], each["metadata"].get("labels") or {}
        if scaled["name"] in ours and labels.get(names.SERVICE) != desired.service:
            name = each["metadata"]["name"]
            yield ConflictError(
                "target.kubernetes.other_autoscaler",
                f"HorizontalPodAutoscaler {name} scales Deployment {scaled['name']} already.",
                where=f"namespace {namespace}",
                hint=f"Remove it (`kubectl delete hpa {name}`), or leave autoscale: out.",
            )


def observed(cluster: Cluster, namespace: str, found: Seen) -> dict[int, Scaling]:
    """Return what autoscalers make of the revisions that have one."""
    own = {
        number: _of_status(scaler, _of_pods(scaler))
        for number, scaler in found.of_revision(kinds.HORIZONTAL_POD_AUTOSCALER).items()
    }
    by_keda = {
        number: _scaling(cluster, namespace, scaler)
        for number, scaler in found.of_revision(kinds.SCALED_OBJECT).items()
    }
    return own | by_keda


def _of_status(works: dict[str, Any], measured: Iterable[tuple[str, str]]) -> Scaling:
    """Return what a HorizontalPodAutoscaler says of itself."""
    spec, wants = works["spec"], (works.get("status") or {}).get("desiredReplicas")
    trouble = _why(works, "ScalingActive", "False")
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    return Scaling(least, most, wants, dict(measured), trouble)


def _of_pods(works: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was measured last of the pods of a revision: the mean, and what it is to be."""
    asked = {
        each["pods"]["metric"]["name"]: each["pods"]["target"]["averageValue"]
        for each in works["spec"].get("metrics") or ()
        if each["type"] == "Pods"
    }
    for each in (works.get("status") or {}).get("currentMetrics") or ():
        pods = each.get("pods") or {}
        name, current = pods.get("metric", {}).get("name"), pods.get("current", {})
        value, limit = amount(str(current.get("averageValue", ""))), amount(asked.get(name, ""))
        if value is not None and limit is not None:
            yield horizontal.measure_of(name), f"{value:.4g} of {limit.normalize():f}"


def _scaling(cluster: Cluster, namespace: str, scaler: dict[str, Any]) -> Scaling:
    spec, name = scaler["spec"], (scaler.get("status") or {}).get("hpaName")
    least, most = spec["minReplicaCount"], spec["maxReplicaCount"]
    try:
        works = cluster.get(kinds.HORIZONTAL_POD_AUTOSCALER, name, namespace) if name else None
    except ForbiddenError:
        return Scaling(least, most)
    if works is None:
        trouble = _why(scaler, "Ready", "False")
        return Scaling(least, most, trouble=trouble or "KEDA has not made its autoscaler yet.")
    status = works.get("status") or {}
    trouble = _why(works, "ScalingActive", "False") or _why(scaler, "Fallback", "True")
    measured = dict(_measured(spec["triggers"], status.get("currentMetrics") or ()))
    return Scaling(least, most, status.get("desiredReplicas"), measured, trouble)


def _measured(
    triggers: Sequence[dict[str, Any]], metrics: Iterable[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield what was measured last, by the trigger's name, and what it is to be: `62 of 100`."""
    for each in metrics:
        external = each.get("external") or {}
        match = _METRIC.match(external.get("metric", {}).get("name", ""))
        if match is None or int(match[1]) >= len(triggers):
            continue
        trigger, current = triggers[int(match[1])], external.get("current", {})
        value = amount(str(current.get("averageValue") or current.get("value") or ""))
        if value is not None:
            yield trigger["name"], f"{value:.4g} of {trigger['metadata']['threshold']}"


def _why(body: dict[str, Any], kind: str, bad: str) -> str | None:
    """Return what a condition says, if its status is the bad one."""
    for each in (body.get("status") or {}).get("conditions") or ():
        if each["type"] == kind and each["status"] == bad:
            return str(each.get("message") or each.get("reason") or kind)
    return None
