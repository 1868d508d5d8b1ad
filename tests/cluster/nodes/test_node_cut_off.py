"""A node that nothing reaches any more, while a service has pods on two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.harness.cluster import Cluster
from cluster.harness.node import Node
from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "steady"
PROXIES = "envoy-gateway-system"
DEADLINE = 10
"""Seconds that a client waits for an answer."""


@dataclass(frozen=True)
class Proxy:
    """The Envoy of a Gateway, asked at its pod: the way to Services may lead over a node."""

    cluster: Cluster
    pod: dict[str, Any]

    @property
    def entry(self) -> Entry:
        return Entry("", f"{self.pod['status']['podIP']}:10080")

    @property
    def node(self) -> str:
        return str(self.pod["spec"]["nodeName"])

    def health_checks(self, namespace: str) -> list[int]:
        """Return how often it asked the pods of a namespace for their health, by rule."""
        pod = f"/api/v1/namespaces/{PROXIES}/pods/{self.pod['metadata']['name']}:19001"
        path = f"{pod}/proxy/stats/prometheus?filter=health_check.attempt"
        lines = self.cluster.kubectl("get", "--raw", path).splitlines()
        return [int(line.split()[-1]) for line in lines if f'"httproute/{namespace}/' in line]


@pytest.fixture
def proxy(cluster: Cluster, gateway_entry: Entry) -> Proxy:
    namespace = gateway_entry.name.partition("/")[0]
    mine = f"gateway.envoyproxy.io/owning-gateway-namespace={namespace}"
    pods = cluster.kubectl("-n", PROXIES, "get", "pods", "-l", mine, "-o", "json")
    (pod,) = json.loads(pods)["items"]
    return Proxy(cluster, pod)


@pytest.fixture
def other(cluster: Cluster, proxy: Proxy) -> Iterator[Node]:
    """The node without the proxy; whole again at the end."""
    if not cluster.nodes:
        pytest.skip("needs a cluster whose nodes may be broken: unset CLOCHE_TEST_KUBECONFIG")
    (node,) = (each for each in cluster.nodes if each.name != proxy.node)
    yield node
    node.network.mend()
    node.wait()


def test_each_client_loses_what_it_has_there_and_no_more(
    cluster_user: ClusterUser, gateway_entry: Entry, proxy: Proxy, other: Node, tmp_path: Path
) -> None:
    at = cluster_user.through(gateway_entry, NAME)
    cluster_user.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 2), replicas=2, target=at)
    cluster_user.deploy()
    until(lambda: len(cluster_user.ready_pods(NAME, 1)) == 2)
    with cluster_user.load(proxy.entry, NAME, limit=DEADLINE) as load:
        # Envoy asks once a minute until a service has had its first requests, then each second.
        until(lambda: sum(n > 9 for n in proxy.health_checks(cluster_user.namespace)) >= 2, 120)
        assert load.failures == []
        other.network.cut()
        until(lambda: not other.ready, 60, every=0.5)
        load.more(200)
        lost = len(load.failures)
        print(f"lost {lost} of {lost + len(load.answers)} requests of {load.clients} clients")
        assert lost <= load.clients
        other.network.mend()
        other.wait()
        until(lambda: len(cluster_user.ready_pods(NAME, 1)) == 2, 60, every=0.5)
        load.more(200)
    assert len(load.failures) == lost
