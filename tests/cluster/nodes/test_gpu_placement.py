"""Where pods with GPUs land: a real scheduler, and nodes that KWOK simulates.

Each test shows a pain first, with pods as tutorials have them, and then what becomes of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloche.artifacts import (
    ContainerStart,
    Gpu,
    Operated,
    PodOptions,
    ReplicaRange,
    Resources,
    Revision,
    Served,
)
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import Cluster as Client
from cloche.clients.kubernetes.cluster import connect
from cloche.errors import ClocheError
from cloche.nvidia import Cuda, Software
from cloche.rollout.decide import placement
from cloche.targets import Desired
from cloche.targets.kubernetes.gpus import preflight
from cloche.targets.kubernetes.gpus import survey as surveys
from cloche.targets.kubernetes.objects import pod
from cloche.targets.kubernetes.target import KubernetesTarget
from cloche.testing import deployment
from cluster.harness.cluster import Cluster
from cluster.harness.scheduler import packing
from cluster.harness.simulated import SIMULATED
from cluster.harness.waiting import wait_until
from fixtures.gpu_nodes import gpu_labels

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
IMAGE = "registry.test/vision@sha256:" + "0" * 64
START = ContainerStart(b"", {}, ())
TODAY, OLD = Software(Cuda(13, 3), "26.07"), Software(Cuda(12, 1), "23.05")
TOLERATED = {"key": SIMULATED, "operator": "Exists"}
TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
ONE = Gpu(1)
PLAIN = "plain"
"""The label of pods that are made as tutorials have them."""
TOO_OLD = {"v100", "t4-r470", "a100-r525", "geforce"}
Nodes = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Services:
    """Services of one namespace, on nodes with a label of their own."""

    client: Client
    namespace: str

    def options(self, **more: Any) -> PodOptions:
        return PodOptions(node_selector={self.namespace: "true"}, tolerations=(TOLERATED,), **more)

    def template(
        self, name: str, gpu: Gpu = ONE, software: Software = TODAY, **options: Any
    ) -> dict[str, Any]:
        made = replace(deployment(name), image=IMAGE, served=Served(resources=Resources(gpu=gpu)))
        return pod.render(made, START, "amd64", self.options(**options), software=software).pod

    def apply(self, name: str, replicas: int, template: dict[str, Any]) -> None:
        """Have the pods of a service be made."""
        made = replace(deployment(name), image=IMAGE, pod=template)
        operated = Operated(replicas=ReplicaRange.exactly(replicas))
        placed = placement(Revision(name, 1, made.digest, made, "2026"), operated)
        target = KubernetesTarget(self.client, self.namespace, lambda *_: {})
        target.apply(Desired(name, (placed,)))

    def plain(self, name: str, **spec: Any) -> None:
        """Make a pod with a GPU as tutorials have it."""
        container = {"name": "a", "image": IMAGE, "resources": {"limits": {GPU: "1"}}}
        body = {
            "metadata": {"name": name, "namespace": self.namespace, "labels": {PLAIN: name}},
            "spec": {
                "containers": [container], "nodeSelector": {self.namespace: "true"},
                "tolerations": [TOLERATED, {"key": GPU, "operator": "Exists"}], **spec,
            },
        }  # fmt: skip
        self.client.create(kinds.POD, body)

    def clear(self) -> None:
        """End the plain pods."""
        for each in self.client.list(kinds.POD, self.namespace, labels=PLAIN).items:
            self.client.delete(kinds.POD, each["metadata"]["name"], self.namespace)
        wait_until(
            lambda: not self.client.list(kinds.POD, self.namespace, labels=PLAIN).items,
            "the end of pods",
        )

    def nodes_of(self, label: str, count: int) -> list[str]:
        """Return the nodes of that many pods, once they have some."""

        def found() -> list[str]:
            pods = self.client.list(kinds.POD, self.namespace, labels=label).items
            names = [each["spec"]["nodeName"] for each in pods if each["spec"].get("nodeName")]
            return names if len(names) >= count else []

        wait_until(found, f"the placing of {count} pods ({label})", seconds=60)
        return found()

    def waits(self, label: str) -> str:
        """Return what the scheduler says of pods that no node takes."""

        def said() -> list[str]:
            pods = self.client.list(kinds.POD, self.namespace, labels=label).items
            return [
                condition.get("message", "")
                for each in pods
                for condition in each["status"].get("conditions", ())
                if condition["type"] == "PodScheduled" and condition["status"] == "False"
            ]

        wait_until(said, f"the refusal of pods ({label})", seconds=60)
        return said()[0]


@pytest.fixture
def services(
    cluster: Cluster, cluster_namespace: str, simulated_nodes: Nodes
) -> Iterator[Services]:
    """Services whose pods are gone before the nodes are: nobody would end them then."""
    with closing(connect(cluster.context, {"KUBECONFIG": str(cluster.kubeconfig)})) as client:
        yield Services(client, cluster_namespace)
        everything = ("--all", "--timeout=60s")
        cluster.kubectl("-n", cluster_namespace, "delete", "deployments", *everything)
        cluster.kubectl(
            "-n", cluster_namespace, "delete", "pods", "--force", "--grace-period=0", *everything
        )


@pytest.fixture
def add(services: Services, simulated_nodes: Nodes) -> Nodes:
    """Make a node for these services alone; returns nothing, its name has the namespace's."""

    def make(name: str, labels: dict[str, str], **capacity: str) -> None:
        mark = {services.namespace: "true", "kubernetes.io/arch": "amd64"}
        resources = {f"nvidia.com/{key}": count for key, count in capacity.items()}
        simulated_nodes(f"{services.namespace}-{name}", labels | mark, resources, [TAINT])

    return make


def short(services: Services, names: list[str]) -> list[str]:
    return sorted(name.removeprefix(f"{services.namespace}-") for name in names)


def of(service: str) -> str:
    return f"cloche.dev/service={service}"


def mixed(add: Nodes) -> None:
    """Make eight nodes; those that cannot run CUDA 13 have the most room."""
    a100 = {"product": "NVIDIA-A100-SXM4-80GB", "memory": 81920, "capability": (8, 0),
            "family": "ampere"}  # fmt: skip
    add("t4-a", gpu_labels() | {"topology.kubernetes.io/zone": "a"}, gpu="1")
    add("t4-b", gpu_labels(old_labels=True) | {"topology.kubernetes.io/zone": "b"}, gpu="1")
    add("a100-forward", gpu_labels(driver="535.183.01", **a100), gpu="1")
    slices = {f"{SLICE}.count": "7", f"{SLICE}.memory": "9856", "nvidia.com/mig.strategy": "mixed"}
    add("a100-mig", gpu_labels(**a100) | slices, **{"mig-1g.10gb": "7"})
    add("v100", gpu_labels("Tesla-V100", capability=(7, 0), family="volta"), gpu="8")
    add("t4-r470", gpu_labels(driver="470.57.02"), gpu="8")
    add("a100-r525", gpu_labels(driver="525.60.13", **a100), gpu="8")
    geforce = "NVIDIA-GeForce-RTX-4090"
    add("geforce", gpu_labels(geforce, "535.183.01", capability=(8, 9), family="ada-lovelace",
                              mode="graphics"), gpu="8")  # fmt: skip


def test_services_land_where_they_can_run(services: Services, add: Nodes) -> None:
    mixed(add)
    for number in range(4):  # three GPUs could run them
        services.plain(f"tutorial-{number}")
    assert TOO_OLD & set(short(services, services.nodes_of(PLAIN, 4)))
    services.clear()
    template = services.template("vision")
    seen = surveys.read(services.client, pods=True)
    found = surveys.survey(seen, template, None)
    assert found is not None
    assert {node.name: str(node.judgement.verdict) for node in found.open} == {
        f"{services.namespace}-{name}": verdict
        for name, verdict in {
            "t4-a": "native", "t4-b": "native", "a100-forward": "forward-compatible",
            "v100": "refused", "t4-r470": "refused", "a100-r525": "refused", "geforce": "refused",
        }.items()
    }  # fmt: skip
    assert found.free == 3
    services.apply("vision", 3, template)
    landed = services.nodes_of(of("vision"), 3)
    assert short(services, landed) == ["a100-forward", "t4-a", "t4-b"]
    full = surveys.survey(surveys.read(services.client, pods=True), template, None)
    assert full is not None
    assert full.free == 0
    services.apply("more", 1, services.template("more"))
    assert "Insufficient nvidia.com/gpu" in services.waits(of("more"))
    slices = services.template("slices", Gpu(1, SLICE))
    services.apply("slices", 2, slices)
    assert short(services, services.nodes_of(of("slices"), 2)) == ["a100-mig"] * 2


def test_pods_of_a_service_go_to_different_nodes_and_zones(services: Services, add: Nodes) -> None:
    for number in range(4):
        zone = {"topology.kubernetes.io/zone": "a" if number < 2 else "b"}
        add(str(number), gpu_labels() | zone, gpu="8")
    services.apply("vision", 4, services.template("vision"))
    assert short(services, services.nodes_of(of("vision"), 4)) == ["0", "1", "2", "3"]
    services.apply("pair", 2, services.template("pair"))
    zones = {"0": "a", "1": "a", "2": "b", "3": "b"}
    pair = short(services, services.nodes_of(of("pair"), 2))
    assert {zones[node] for node in pair} == {"a", "b"}


def test_three_services_do_not_crowd_one_gpu(
    services: Services, add: Nodes, cluster: Cluster, tmp_path: Path
) -> None:
    shared = gpu_labels(replicas=4, sharing="time-slicing")
    add("a", shared, gpu="4")
    add("b", shared, gpu="4")
    name = f"packing-{services.namespace}"
    patch = {"Deployment": {"spec": {"template": {"spec": {"schedulerName": name}}}}}
    with packing(tmp_path, cluster.kubeconfig, name, {GPU: 5, "cpu": 1}):
        for each in ("one", "two", "three"):
            services.plain(each, schedulerName=name)
            services.nodes_of(f"{PLAIN}={each}", 1)
        crowded = Counter(services.nodes_of(PLAIN, 3))
        assert list(crowded.values()) == [3]
        services.clear()
        for each in ("one", "two", "three"):
            services.apply(each, 1, services.template(each, patches=patch))
            services.nodes_of(of(each), 1)
        landed = Counter(services.nodes_of("cloche.dev/gpu=true", 3))
    assert sorted(landed.values()) == [1, 2]


def test_cuda_12_1_on_the_driver_of_cuda_11_8(services: Services, add: Nodes) -> None:
    add("old", gpu_labels(driver="520.61.05"), gpu="1")
    services.plain("tutorial")
    assert short(services, services.nodes_of(PLAIN, 1)) == ["old"]
    services.clear()
    template = services.template("vision", software=OLD)
    with pytest.raises(ClocheError) as caught:
        preflight.require(services.client, template, None)
    assert caught.value.code == "target.kubernetes.gpu_nodes"
    assert "driver 520.61.05 is older than 525.60.13, which CUDA 12.1 needs" in caught.value.what
    assert "tritonserver:22.12-py3" in (caught.value.hint or "")
    services.apply("vision", 1, template)
    assert "node affinity" in services.waits(of("vision"))
    add("new", gpu_labels(driver="525.60.13"), gpu="1")
    assert short(services, services.nodes_of(of("vision"), 1)) == ["new"]


def test_a_node_that_says_nothing_is_tried(services: Services, add: Nodes) -> None:
    add("silent", {}, gpu="1")
    add("odd", gpu_labels(driver="unknown"), gpu="1")
    services.apply("vision", 2, services.template("vision"))
    assert short(services, services.nodes_of(of("vision"), 2)) == ["odd", "silent"]
    found = surveys.survey(surveys.read(services.client), services.template("vision"), None)
    assert found is not None
    said = json.dumps([each.what for each in preflight.findings_of(found, 2)])
    assert "no label says which driver it has" in said
    assert "cuda.driver-version.full=unknown has not the form" in said
