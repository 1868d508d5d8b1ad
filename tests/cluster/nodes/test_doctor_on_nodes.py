"""`cloche doctor --target` on real nodes: whether they pull from the registry."""

from __future__ import annotations

from contextlib import closing

import pytest

from cloche.artifacts import PodOptions
from cloche.clients.kubernetes import kinds
from cloche.clients.kubernetes.cluster import connect
from cloche.errors import ClocheError
from cloche.images import platforms
from cloche.targets.kubernetes import pulling
from cluster.harness.waiting import wait_until
from fixtures.cluster_users import ClusterUser


def test_a_node_pulls_from_the_registry(cluster_user: ClusterUser) -> None:
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    cluster_user.cluster.kubectl("label", "namespace", cluster_user.namespace, restricted)
    cluster_user.declare("digits", "./none.onnx")
    found = cluster_user.run("doctor", "--pull", "--json").expect(0).json
    (pulled,) = (each for each in found["checks"] if each["name"] == "pulling")
    assert pulled["what"].startswith("Node node-")
    assert {each["state"] for each in found["checks"]} == {"ok"}
    wait_until(
        lambda: not cluster_user.kubectl("get", "jobs,pods", "-o", "name"), "the end of the job"
    )


def test_a_registry_that_nodes_do_not_reach(cluster_user: ClusterUser) -> None:
    cluster, namespace = cluster_user.cluster, cluster_user.namespace
    with closing(connect(cluster.context, {"KUBECONFIG": str(cluster.kubeconfig)})) as client:
        with pytest.raises(ClocheError, match="cannot pull from the registry") as caught:
            pulling.pull(
                client, namespace, "127.0.0.1:1/none:1", PodOptions(), platforms.here().architecture
            )
        assert caught.value.code == "kubernetes.pull"
        assert "connection refused" in caught.value.what
        jobs = client.list(kinds.JOB, namespace).items
        assert all(each["metadata"].get("deletionTimestamp") for each in jobs)
