"""Where the scheduler puts the pods of a revision, seen on simulated nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cluster.harness.simulated import SIMULATED
from fixtures.cluster_users import ClusterUser
from fixtures.command_line import scaled_maximum
from fixtures.local import until

ZONE = "topology.kubernetes.io/zone"
LARGE = 8 * 2**30
"""Bytes of an image; a node that has it is preferred to one that would pull it."""
Placed = Callable[..., Counter[str]]
Nodes = Callable[[dict[str, str | None]], None]


@pytest.fixture
def template(cluster_user: ClusterUser) -> dict[str, Any]:
    """The pod template of a revision, for nodes that are simulated for this namespace."""
    model = scaled_maximum(cluster_user.user.folder / "model.onnx", 2)
    cluster_user.declare("spread", model)
    cluster_user.deploy()
    (workload,) = cluster_user.objects("deployments", "spread")
    found: dict[str, Any] = workload["spec"]["template"]
    found["spec"]["nodeSelector"] = {cluster_user.namespace: "yes"}
    found["spec"]["tolerations"] = [{"key": SIMULATED, "operator": "Exists"}]
    return found


@pytest.fixture
def nodes(cluster_user: ClusterUser, simulated_nodes: Callable[..., None]) -> Nodes:
    """Make nodes, each in a zone or, by None, in none; the name of a node is short in the test."""

    def make(zones: dict[str, str | None]) -> None:
        for name, zone in zones.items():
            labels = {cluster_user.namespace: "yes", **({ZONE: zone} if zone else {})}
            simulated_nodes(full(cluster_user, name), labels=labels, capacity={})

    return make


@pytest.fixture
def placed(cluster_user: ClusterUser, template: dict[str, Any]) -> Placed:
    """Have the pods of a revision scheduled, and return how many are on each node."""

    def place(replicas: int, revision: int = 2) -> Counter[str]:
        selector = {"cloche.dev/service": "spread", "cloche.dev/revision": str(revision)}
        template["metadata"]["labels"] |= selector
        spec = {"replicas": replicas, "selector": {"matchLabels": selector}, "template": template}
        metadata = {"name": f"spread-r{revision}"}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        cluster_user.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        labels = ",".join(f"{key}={value}" for key, value in selector.items())

        def where() -> list[str]:
            path = "jsonpath={.items[*].spec.nodeName}"
            names = cluster_user.kubectl("get", "pods", "-l", labels, "-o", path).split()
            return names if len(names) == replicas else []

        until(where)
        prefix = full(cluster_user, "")
        return Counter(name.removeprefix(prefix) for name in where())

    return place


def full(user: ClusterUser, name: str) -> str:
    return f"{user.namespace}-{name}"


def test_nodes_without_zones(nodes: Nodes, placed: Placed) -> None:
    nodes({"a": None, "b": None})
    for revision in range(2, 7):  # those before stay, as a revision does that is kept warm
        assert placed(2, revision) == {"a": 1, "b": 1}
    assert placed(5, 2) in ({"a": 3, "b": 2}, {"a": 2, "b": 3})


def test_a_node_with_the_image_beside_a_busy_one_without(
    cluster_user: ClusterUser, template: dict[str, Any], nodes: Nodes, placed: Placed
) -> None:
    nodes({"idle": None, "busy": None})
    container = template["spec"]["containers"][0]
    image = {"names": [container["image"]], "sizeBytes": LARGE}
    status = json.dumps({"status": {"images": [image]}})
    patch = ("patch", "node", full(cluster_user, "idle"), "--subresource=status", "-p", status)
    cluster_user.cluster.kubectl(*patch)
    other = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"},
        "spec": {
            "nodeName": full(cluster_user, "busy"),
            "tolerations": template["spec"]["tolerations"],
            "containers": [{**container, "resources": {"requests": {"cpu": "7"}}}],
        },
    }  # fmt: skip
    for field in ("volumeMounts", "startupProbe", "livenessProbe", "readinessProbe"):
        other["spec"]["containers"][0].pop(field)
    cluster_user.kubectl("apply", "-f", "-", stdin=json.dumps(other))
    for revision in range(2, 7):
        assert placed(2, revision) == {"idle": 1, "busy": 1}


def test_nodes_in_zones(nodes: Nodes, placed: Placed) -> None:
    nodes({"a1": "a", "a2": "a", "b1": "b", "c1": "c"})
    for revision in range(2, 7):
        assert {name[0] for name in placed(3, revision)} == {"a", "b", "c"}
    assert set(placed(4, 2)) == {"a1", "a2", "b1", "c1"}


def test_a_node_without_a_zone_among_others(nodes: Nodes, placed: Placed) -> None:
    nodes({"a1": "a", "b1": "b", "none": None})
    for revision in range(2, 7):
        assert set(placed(3, revision)) == {"a1", "b1", "none"}
