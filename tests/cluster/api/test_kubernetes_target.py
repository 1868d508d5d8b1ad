"""The objects of a service against a real API server: valid, applied once, removed whole.

No controller is behind it, so nothing runs; that is for tests/cluster/nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloche.artifacts import (
    ContainerStart,
    Expose,
    Exposure,
    ModelRepository,
    Operated,
    PodOptions,
    ReplicaRange,
    Revision,
)
from cloche.artifacts.container import SHARED_MEMORY
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster, connect
from cloche.clients.kubernetes.kinds import Kind
from cloche.clients.kubernetes.server_clock import ServerClock
from cloche.errors import ClocheError
from cloche.rollout.decide import placement
from cloche.state import Hold
from cloche.targets import ApplyError, Desired, Placement, ReplicaPhase
from cloche.targets.kubernetes import names
from cloche.targets.kubernetes.objects import pod, probes
from cloche.targets.kubernetes.target import KubernetesTarget
from cloche.testing import deployment
from cluster.harness.access import CONTEXT
from cluster.harness.api_server import ApiServer

IMAGE = "registry.test/vision/digits@sha256:" + "0" * 64
START = ContainerStart(b"", {SHARED_MEMORY: str(2**24)}, (8000, 8001, 8002))
OPTIONS = PodOptions(
    pull_secret="pull", node_selector={"disk": "ssd"}, priority_class="high",
    tolerations=({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},),
    labels={"team": "vision"}, annotations={"example.com/note": "a"}, cpu_limit=2.0,
)  # fmt: skip
EVERY = (
    kinds.DEPLOYMENT, kinds.SERVICE, kinds.POD_DISRUPTION_BUDGET, kinds.SERVICE_ACCOUNT,
    kinds.NETWORK_POLICY,
)  # fmt: skip


class Held:
    """A hold that a test gives and takes."""

    services = None

    def __init__(self) -> None:
        self.mine = True

    def held(self, service: str) -> bool:
        return self.mine

    def release(self) -> None:
        self.mine = False


def probe_files(service: str, number: int) -> Mapping[str, bytes]:
    return probes.content(deployment(service), lambda _: b"answer")


def target(cluster: Cluster, namespace: str, hold: Hold | None = None) -> KubernetesTarget:
    return KubernetesTarget(cluster, namespace, probe_files, hold=hold)


def placed(
    service: str = "digits", number: int = 1, *, replicas: int = 2, options: PodOptions = OPTIONS
) -> Placement:
    made = replace(deployment(service), image=IMAGE)
    made = replace(made, pod=pod.render(made, START, "amd64", options).pod)
    operated = Operated(replicas=ReplicaRange.exactly(replicas))
    return placement(Revision(service, number, made.digest, made, "2026"), operated)


def desired(*placements: Placement, split: int | None = 1) -> Desired:
    shares = {} if split is None else {split: 100}
    return Desired(placements[0].service if placements else "digits", placements, shares)


def objects(cluster: Cluster, namespace: str, service: str = "digits") -> dict[str, dict[str, Any]]:
    return {
        f"{kind.name}/{each['metadata']['name']}": each
        for kind in EVERY
        for each in cluster.list(kind, namespace, labels=names.selector_text(service)).items
    }


def versions(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: each["metadata"]["resourceVersion"] for name, each in found.items()}


@pytest.mark.parametrize("service", ["digits", "digits-r2", "7zip", "x" * 63])
def test_a_revision_is_these_objects(api_cluster: Cluster, namespace: str, service: str) -> None:
    target(api_cluster, namespace).apply(desired(placed(service)))
    found = objects(api_cluster, namespace, service)
    one, whole = names.of_revision(service, 1), names.of_service(service)
    assert set(found) == {
        f"Deployment/{one}", f"Service/{one}", f"Service/{whole}", f"PodDisruptionBudget/{one}",
        f"ServiceAccount/{whole}", f"NetworkPolicy/{whole}",
    }  # fmt: skip
    workload = found[f"Deployment/{one}"]
    assert workload["spec"]["replicas"] == 2
    assert found[f"Service/{whole}"]["spec"]["selector"] == names.selector(service, 1)
    (owner,) = found[f"Service/{one}"]["metadata"]["ownerReferences"]
    assert owner["uid"] == workload["metadata"]["uid"]
    config = api_cluster.get(kinds.CONFIG_MAP, one, namespace)
    assert config is not None
    assert set(config["binaryData"]) == {"ask.py", "asked.json", "exchange.py", "expected"}
    assert all(each["metadata"]["labels"][names.SERVICE] == service for each in found.values())


def test_what_is_there_is_not_written_again(api_cluster: Cluster, namespace: str) -> None:
    here, wanted = target(api_cluster, namespace), desired(placed())
    here.apply(wanted)
    before = versions(objects(api_cluster, namespace))
    here.apply(wanted)
    target(api_cluster, namespace).apply(wanted)
    assert versions(objects(api_cluster, namespace)) == before
    assert here.diff(wanted) == ()


def test_the_pods_are_admitted_by_the_restricted_profile(
    api_cluster: Cluster, namespace: str
) -> None:
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    api_cluster.patch(kinds.NAMESPACE, namespace, None, {"metadata": {"labels": enforce}})
    account = {"metadata": {"name": "digits", "namespace": namespace}}
    api_cluster.create(kinds.SERVICE_ACCOUNT, account)
    plain = replace(OPTIONS, priority_class=None)
    template = pod.numbered(placed(options=plain).pod or {}, "digits", 1)
    body = {**template, "metadata": {**template["metadata"], "name": "a", "namespace": namespace}}
    api_cluster.create(kinds.POD, body, dry_run=True)
    body["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = True
    del body["spec"]["securityContext"]["runAsNonRoot"]
    with pytest.raises(ClocheError, match="restricted"):
        api_cluster.create(kinds.POD, body, dry_run=True)


def test_traffic_moves_whole_and_what_left_goes(api_cluster: Cluster, namespace: str) -> None:
    here = target(api_cluster, namespace)
    one, two = placed(number=1), placed(number=2)
    here.apply(desired(one))
    here.apply(desired(one, two, split=1))
    assert dict(here.observe("digits").split) == {1: 100}
    here.apply(desired(one, two, split=2))
    assert dict(here.observe("digits").split) == {2: 100}
    here.apply(desired(two, split=2))
    assert_going(api_cluster, namespace, "digits-r1")


def test_a_revision_that_nobody_knows_of_goes(api_cluster: Cluster, namespace: str) -> None:
    here = target(api_cluster, namespace)
    two, three = placed(number=2), placed(number=3)
    target(api_cluster, namespace).apply(desired(placed(number=9), split=9))
    here.apply(desired(two, split=2))
    assert_going(api_cluster, namespace, "digits-r9")
    here.apply(desired(two, three, split=2))
    target(api_cluster, namespace).apply(desired(two, three, placed(number=8), split=2))
    here.apply(desired(two, three, split=2))  # nothing else is to be written
    assert_going(api_cluster, namespace, "digits-r8")


def assert_going(cluster: Cluster, namespace: str, name: str) -> None:
    """Have a controller be told to end a Deployment."""
    found = cluster.get(kinds.DEPLOYMENT, name, namespace)
    assert found is None or found["metadata"]["deletionTimestamp"]


def test_what_only_has_the_name_stays(api_cluster: Cluster, namespace: str) -> None:
    here, wanted = target(api_cluster, namespace), desired(placed(replicas=1), split=None)
    here.apply(wanted)
    meta = {"name": "digits-r1", "namespace": namespace}
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "another"}}}
    api_cluster.create(
        kinds.POD_DISRUPTION_BUDGET,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec},
    )
    service = {"metadata": {**meta, "name": "digits"}, "spec": {"ports": [{"port": 80}]}}
    api_cluster.create(kinds.SERVICE, {"apiVersion": "v1", "kind": "Service", **service})
    assert here.diff(wanted) == ()
    here.apply(wanted)
    assert api_cluster.get(kinds.POD_DISRUPTION_BUDGET, "digits-r1", namespace) is not None
    assert api_cluster.get(kinds.SERVICE, "digits", namespace) is not None


def test_a_candidate_has_as_many_replicas_as_the_live_one(
    api_cluster: Cluster, namespace: str
) -> None:
    here = target(api_cluster, namespace)
    one, two = placed(number=1, replicas=1), placed(number=2, replicas=1)
    here.apply(desired(one))
    api_cluster.patch(
        kinds.DEPLOYMENT, "digits-r1", namespace, {"spec": {"replicas": 4}}, subresource="scale"
    )
    here.apply(desired(one, two, split=1))
    second = api_cluster.get(kinds.DEPLOYMENT, "digits-r2", namespace)
    assert second is not None
    assert second["spec"]["replicas"] == 4


def test_the_replicas_of_an_autoscaler_stay(
    api_cluster: Cluster, namespace: str, api_server: ApiServer
) -> None:
    here, wanted = target(api_cluster, namespace), desired(placed())
    here.apply(wanted)
    api_server.kubectl("scale", "deployment/digits-r1", "--replicas=5", "-n", namespace)
    here.apply(wanted)
    workload = api_cluster.get(kinds.DEPLOYMENT, "digits-r1", namespace)
    assert workload is not None
    assert workload["spec"]["replicas"] == 5
    (finding, _) = here.foresee(desired(placed(), split=1))
    assert finding.code == "target.kubernetes.scaled"
    assert "replicas of Deployment digits-r1 to 5" in finding.what


def test_without_the_hold_no_traffic_moves_and_nothing_goes(
    api_cluster: Cluster, namespace: str
) -> None:
    hold = Held()
    here = target(api_cluster, namespace, hold)
    one, two = placed(number=1), placed(number=2)
    here.apply(desired(one, two, split=1))
    before = versions(objects(api_cluster, namespace))
    hold.mine = False
    with pytest.raises(ApplyError) as caught:
        here.apply(desired(two, split=2))
    assert caught.value.by_revision[None].code == "target.not_held"
    assert versions(objects(api_cluster, namespace)) == before


def test_a_service_that_goes_loses_its_address_first(api_cluster: Cluster, namespace: str) -> None:
    here = target(api_cluster, namespace)
    here.apply(desired(placed()))
    here.apply(desired(placed(), split=None))
    assert dict(here.observe("digits").split) == {}
    assert "Deployment/digits-r1" in objects(api_cluster, namespace)


def test_nothing_is_left_of_a_service_that_goes(api_cluster: Cluster, namespace: str) -> None:
    here = target(api_cluster, namespace)
    other = placed("digits-2")
    here.apply(desired(placed()))
    here.apply(desired(other))
    here.apply(Desired("digits"))
    left = objects(api_cluster, namespace)
    assert all(each["metadata"].get("deletionTimestamp") for each in left.values())
    assert len(objects(api_cluster, namespace, "digits-2")) == 6


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (kinds.SERVICE, {"spec": {"ports": [{"port": 80}]}}),
        (kinds.NETWORK_POLICY, {"spec": {"podSelector": {}}}),
    ],
)
def test_an_object_of_someone_else_is_refused_by_name(
    api_cluster: Cluster, namespace: str, kind: Kind, body: dict[str, Any]
) -> None:
    api_cluster.create(kind, {**body, "metadata": {"name": "digits", "namespace": namespace}})
    asked: ModelRepository = deployment("digits").repository
    with pytest.raises(ClocheError) as caught:
        target(api_cluster, namespace).admit(Desired("digits", asked=asked))
    assert caught.value.code == "target.kubernetes.foreign"
    assert f"{kind.name} digits" in caught.value.what


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Operated(replicas=ReplicaRange(1, 4)), "target.kubernetes.autoscale"),
        (Operated(exposure=Exposure(Expose.GATEWAY, "a/b", "x.test")),
         "target.kubernetes.gateway_api"),
    ],
)  # fmt: skip
def test_what_can_never_be_served_is_refused(
    api_cluster: Cluster, namespace: str, wanted: Operated, code: str
) -> None:
    with pytest.raises(ClocheError) as caught:
        target(api_cluster, namespace).admit(Desired("digits", operated=wanted))
    assert caught.value.code == code


def test_a_namespace_has_to_be_there(api_cluster: Cluster) -> None:
    with pytest.raises(ClocheError) as caught:
        target(api_cluster, "nowhere").admit(Desired("digits"))
    assert caught.value.code == "target.kubernetes.namespace"


@pytest.mark.parametrize("wrong", [timedelta(hours=-5), timedelta(0), timedelta(hours=5)])
def test_how_long_a_pod_waits_is_told_by_the_clock_of_the_server(
    api_server: ApiServer, api_cluster: Cluster, namespace: str, wrong: timedelta
) -> None:
    labels = names.labels("digits", 1)
    container = {"name": "server", "image": "none.test/none"}
    metadata = {"name": "digits-r1-a", "namespace": namespace, "labels": labels}
    made = api_cluster.create(
        kinds.POD, {"metadata": metadata, "spec": {"containers": [container]}}
    )
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    api_cluster.patch(
        kinds.POD, made["metadata"]["name"], namespace, {"status": {"conditions": [waits]}},
        subresource="status",
    )  # fmt: skip
    clock = ServerClock(lambda: datetime.now(UTC) + wrong)
    with connect(CONTEXT, {"KUBECONFIG": str(api_server.kubeconfig)}, clock=clock) as skewed:
        (replica,) = target(skewed, namespace).observe("digits").replicas
    assert replica.phase is ReplicaPhase.STARTING
    assert "No node takes it" in str(replica.detail)
