"""Autoscalers of revisions, and what a cluster has to have for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from test_kubernetes_target import placed, target

from cloche.artifacts import Autoscale, Exposure, Operated, ReplicaRange, ScaledBy
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.errors import ClocheError, ErrorGroup
from cloche.targets import Desired
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer
from cluster.harness.programs import Programs
from fixtures.local import until

METRICS = "v1beta1.external.metrics.k8s.io"
OF_PODS = "v1beta1.custom.metrics.k8s.io"
FOLLOWED = Autoscale(requests_per_second=100.0, queue_time=0.005)
AT = Exposure(prometheus="monitoring", prometheus_url="http://prometheus.monitoring.svc:9090")
OPERATED = Operated(ReplicaRange(2, 8), autoscale=FOLLOWED, exposure=AT)
BY_ADAPTER = replace(OPERATED, exposure=Exposure(scaled_by=ScaledBy.PROMETHEUS_ADAPTER))


@pytest.fixture(scope="module")
def scaling_server() -> Iterator[ApiServer]:
    """An API server of its own: it has KEDA's kind."""
    programs = Programs()
    if missing := programs.missing("api"):
        pytest.skip(f"needs {', '.join(missing)}: make kubernetes-api")
    with ApiServer(programs) as server:
        server.kubectl.apply(programs.path("keda-crds.yaml").read_text(encoding="utf-8"))
        yield server


@pytest.fixture
def keda(scaling_server: ApiServer) -> Iterator[Cluster]:
    """A cluster where KEDA's metrics can be read, as far as anybody sees."""
    with connect(CONTEXT, {"KUBECONFIG": str(scaling_server.kubeconfig)}) as connected:
        until(lambda: connected.serves(kinds.SCALED_OBJECT), 30)
        connected.apply(kinds.API_SERVICE, metrics_api(), force=True)
        until(lambda: condition(connected) == "True", 30)
        yield connected


@pytest.fixture
def namespace(scaling_server: ApiServer) -> str:
    name = f"test-{uuid4().hex[:12]}"
    scaling_server.kubectl("create", "namespace", name)
    return name


def metrics_api(api: str = METRICS, **service: Any) -> dict[str, Any]:
    """Return an API of metrics, of a Service or (as far as it is seen) of the server."""
    version, _, group = api.partition(".")
    spec = {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100}
    backed = {"service": service, "insecureSkipTLSVerify": True} if service else {}
    return {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": api}, "spec": {**spec, **backed},
    }  # fmt: skip


def condition(cluster: Cluster, name: str = METRICS) -> str | None:
    found = cluster.get(kinds.API_SERVICE, name) or {}
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((each["status"] for each in conditions if each["type"] == "Available"), None)


def wanted(*numbers: int, live: int, operated: Operated = OPERATED) -> Desired:
    placements = [replace(placed(number=n), replicas=operated.replica_range) for n in numbers]
    return Desired("digits", tuple(placements), {live: 100}, operated)


def scaler(cluster: Cluster, namespace: str, number: int = 1) -> dict[str, Any] | None:
    return cluster.get(kinds.SCALED_OBJECT, f"digits-r{number}", namespace)


def count(cluster: Cluster, namespace: str, number: int = 1) -> int:
    found = cluster.get(kinds.DEPLOYMENT, f"digits-r{number}", namespace)
    assert found is not None
    return int(found["spec"]["replicas"])


def scale(cluster: Cluster, namespace: str, replicas: int, number: int = 1) -> None:
    """Set the number of replicas, as an autoscaler does."""
    body = {"spec": {"replicas": replicas}}
    cluster.patch(kinds.DEPLOYMENT, f"digits-r{number}", namespace, body, subresource="scale")


def scale_by(cluster: Cluster, namespace: str, name: str) -> None:
    """Make an autoscaler of the first revision."""
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits-r1"}
    spec = {"maxReplicas": 8, "scaleTargetRef": scaled}
    body = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    cluster.create(kinds.HORIZONTAL_POD_AUTOSCALER, body)


def codes(cluster: Cluster, namespace: str, operated: Operated) -> set[str]:
    with pytest.raises(ClocheError) as caught:
        target(cluster, namespace).admit(wanted(1, live=1, operated=operated))
    error = caught.value
    return {each.code for each in (error.errors if isinstance(error, ErrorGroup) else (error,))}


def test_a_candidate_is_held_at_the_size_of_the_live_revision(
    keda: Cluster, namespace: str
) -> None:
    here = target(keda, namespace)
    here.admit(wanted(1, live=1))
    here.apply(wanted(1, live=1))
    assert count(keda, namespace) == 2
    first = scaler(keda, namespace)
    assert first is not None
    assert (first["spec"]["minReplicaCount"], first["spec"]["maxReplicaCount"]) == (2, 8)

    scale(keda, namespace, 7)  # a surge
    here.apply(wanted(1, live=1))
    assert count(keda, namespace) == 7
    assert here.diff(wanted(1, live=1)) == ()
    said = {each.code for each in here.foresee(wanted(1, live=1))}
    assert "target.kubernetes.scaled" not in said

    here.apply(wanted(1, 2, live=1))
    held = scaler(keda, namespace, 2)
    assert held is not None
    assert (count(keda, namespace, 2), held["spec"]["minReplicaCount"]) == (7, 7)
    here.apply(wanted(1, 2, live=2))
    lowered = scaler(keda, namespace, 2)
    assert lowered is not None
    assert (count(keda, namespace, 2), lowered["spec"]["minReplicaCount"]) == (7, 2)


def test_a_fixed_number_ends_the_autoscaling(keda: Cluster, namespace: str) -> None:
    here, fixed = target(keda, namespace), replace(OPERATED, replicas=ReplicaRange.exactly(3))
    here.apply(wanted(1, live=1))
    scale(keda, namespace, 6)
    changes = {each.what for each in here.diff(wanted(1, live=1, operated=fixed))}
    assert "delete ScaledObject digits-r1" in changes
    here.apply(wanted(1, live=1, operated=fixed))
    assert scaler(keda, namespace) is None
    assert count(keda, namespace) == 3


def test_a_rollout_that_replaces_holds_the_autoscaler(keda: Cluster, namespace: str) -> None:
    here = target(keda, namespace)
    here.apply(wanted(1, live=1))
    scale(keda, namespace, 5)
    live, new = wanted(1, 2, live=1).placements
    shared = Desired(
        "digits",
        (
            replace(live, replicas=ReplicaRange.exactly(4), exact=True),
            replace(new, replicas=ReplicaRange.exactly(1), exact=True),
        ),
        {1: 100},
        OPERATED,
    )
    here.apply(shared)
    assert [count(keda, namespace, number) for number in (1, 2)] == [4, 1]
    assert scaler(keda, namespace) is scaler(keda, namespace, 2) is None
    ended = replace(shared, placements=(replace(live, replicas=ReplicaRange(0, 0), exact=True),))
    here.apply(ended)
    assert count(keda, namespace) == 0
    # The rollout failed: as many come back as there were, and the autoscaler goes on from there.
    back = wanted(1, live=1)
    here.apply(replace(back, placements=(replace(back.placements[0], returns=5),)))
    found = scaler(keda, namespace)
    assert found is not None
    assert (count(keda, namespace), found["spec"]["minReplicaCount"]) == (5, 2)
    scale(keda, namespace, 3)
    here.apply(replace(back, placements=(replace(back.placements[0], returns=5),)))
    assert count(keda, namespace) == 3


def test_what_an_autoscaler_makes_of_a_revision_is_seen(keda: Cluster, namespace: str) -> None:
    here = target(keda, namespace)
    here.apply(wanted(1, live=1))
    assert "not made its autoscaler" in str(here.observe("digits").scaling[1].trouble)

    made = {"status": {"hpaName": "keda-hpa-digits-r1"}}
    keda.patch(kinds.SCALED_OBJECT, "digits-r1", namespace, made, subresource="status")
    scale_by(keda, namespace, "keda-hpa-digits-r1")
    name = {"metric": {"name": "s0-prometheus"}}
    status = {
        "desiredReplicas": 5, "currentReplicas": 2,
        "conditions": [{"type": "ScalingActive", "status": "True"}],
        "currentMetrics": [
            {"type": "External", "external": {**name, "current": {"averageValue": "212500m"}}}
        ],
    }  # fmt: skip
    keda.patch(
        kinds.HORIZONTAL_POD_AUTOSCALER, "keda-hpa-digits-r1", namespace, {"status": status},
        subresource="status",
    )  # fmt: skip
    now = here.observe("digits").scaling[1]
    assert (now.minimum, now.maximum, now.replicas, now.trouble) == (2, 8, 5, None)
    assert now.measured == {"requests-per-second": "212.5 of 100"}

    lost = "unable to get external metric: the result is empty"
    status["conditions"] = [{"type": "ScalingActive", "status": "False", "message": lost}]
    keda.patch(
        kinds.HORIZONTAL_POD_AUTOSCALER, "keda-hpa-digits-r1", namespace, {"status": status},
        subresource="status",
    )  # fmt: skip
    assert here.observe("digits").scaling[1].trouble == lost


def test_what_keeps_a_service_from_being_scaled(keda: Cluster, namespace: str) -> None:
    missing = {
        "target.kubernetes.autoscale": replace(OPERATED, autoscale=None),
        "target.kubernetes.prometheus": replace(OPERATED, exposure=Exposure()),
        "target.kubernetes.replicas": replace(OPERATED, replicas=ReplicaRange(0, 8)),
    }
    for code, operated in missing.items():
        assert codes(keda, namespace, operated) == {code}

    target(keda, namespace).apply(wanted(1, live=1))
    scale_by(keda, namespace, "by-hand")
    assert codes(keda, namespace, OPERATED) == {"target.kubernetes.other_autoscaler"}


def test_metrics_that_nobody_answers(keda: Cluster, namespace: str) -> None:
    keda.apply(
        kinds.API_SERVICE,
        metrics_api(METRICS, name="keda-metrics-apiserver", namespace="keda"), force=True,
    )  # fmt: skip
    until(lambda: condition(keda) == "False", 30)
    with pytest.raises(ClocheError, match="keda-metrics-apiserver") as caught:
        target(keda, namespace).admit(wanted(1, live=1))
    assert caught.value.code == "target.kubernetes.metrics_api"


def test_a_cluster_without_keda(api_cluster: Cluster, api_namespace: str) -> None:
    assert codes(api_cluster, api_namespace, OPERATED) == {"target.kubernetes.keda"}


# ── prometheus-adapter ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def adapter(keda: Cluster) -> Cluster:
    """A cluster where the metrics of pods can be read as well, as far as anybody sees."""
    keda.apply(kinds.API_SERVICE, metrics_api(OF_PODS), force=True)
    until(lambda: condition(keda, OF_PODS) == "True", 30)
    return keda


def horizontal(cluster: Cluster, namespace: str, number: int = 1) -> dict[str, Any] | None:
    return cluster.get(kinds.HORIZONTAL_POD_AUTOSCALER, f"digits-r{number}", namespace)


def test_kubernetes_scales_by_what_the_adapter_measures(adapter: Cluster, namespace: str) -> None:
    here, one = target(adapter, namespace), wanted(1, live=1, operated=BY_ADAPTER)
    here.admit(one)
    here.apply(one)
    first = horizontal(adapter, namespace)
    assert first is not None
    assert (first["spec"]["minReplicas"], first["spec"]["maxReplicas"]) == (2, 8)
    assert scaler(adapter, namespace) is None
    scale(adapter, namespace, 7)  # a surge
    here.apply(one)
    assert count(adapter, namespace) == 7
    assert here.diff(one) == ()
    assert "target.kubernetes.scaled" not in {each.code for each in here.foresee(one)}

    here.apply(wanted(1, 2, live=1, operated=BY_ADAPTER))
    held = horizontal(adapter, namespace, 2)
    assert held is not None
    assert (count(adapter, namespace, 2), held["spec"]["minReplicas"]) == (7, 7)
    fixed = replace(BY_ADAPTER, replicas=ReplicaRange.exactly(3))
    changes = {each.what for each in here.diff(wanted(2, live=2, operated=fixed))}
    assert "delete HorizontalPodAutoscaler digits-r2" in changes
    here.apply(wanted(2, live=2, operated=fixed))
    assert horizontal(adapter, namespace, 2) is None
    assert count(adapter, namespace, 2) == 3
    here.apply(Desired("digits", operated=fixed))
    assert adapter.list(kinds.HORIZONTAL_POD_AUTOSCALER, namespace).items in ([], [first])


def test_one_scales_instead_of_the_other(adapter: Cluster, namespace: str) -> None:
    here = target(adapter, namespace)
    here.apply(wanted(1, live=1))
    scale(adapter, namespace, 6)
    here.apply(wanted(1, live=1, operated=BY_ADAPTER))
    assert scaler(adapter, namespace) is None
    assert horizontal(adapter, namespace) is not None
    assert count(adapter, namespace) == 6
    here.apply(wanted(1, live=1))
    assert horizontal(adapter, namespace) is None
    assert scaler(adapter, namespace) is not None
    assert count(adapter, namespace) == 6


def test_what_the_adapter_measures_is_seen(adapter: Cluster, namespace: str) -> None:
    here = target(adapter, namespace)
    here.apply(wanted(1, live=1, operated=BY_ADAPTER))
    assert here.observe("digits").scaling[1].measured == {}
    current = {
        "metric": {"name": "cloche_requests_per_second"}, "current": {"averageValue": "212500m"},
    }  # fmt: skip
    status = {
        "desiredReplicas": 5, "currentReplicas": 2,
        "conditions": [{"type": "ScalingActive", "status": "True"}],
        "currentMetrics": [{"type": "Pods", "pods": current}],
    }  # fmt: skip
    where = kinds.HORIZONTAL_POD_AUTOSCALER, "digits-r1", namespace
    adapter.patch(*where, {"status": status}, subresource="status")
    now = here.observe("digits").scaling[1]
    assert (now.minimum, now.maximum, now.replicas, now.trouble) == (2, 8, 5, None)
    assert now.measured == {"requests-per-second": "212.5 of 100"}
    status["conditions"] = [{"type": "ScalingActive", "status": "False", "message": "no metrics"}]
    adapter.patch(*where, {"status": status}, subresource="status")
    assert here.observe("digits").scaling[1].trouble == "no metrics"


def test_a_cluster_without_the_adapter(api_cluster: Cluster, api_namespace: str) -> None:
    assert codes(api_cluster, api_namespace, BY_ADAPTER) == {"target.kubernetes.metrics_api"}
