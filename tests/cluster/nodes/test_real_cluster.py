"""The cluster of the harness: its nodes, networks, registry and gateway."""

from __future__ import annotations

import json
from functools import partial
from urllib.parse import quote

import httpx
import pytest

from cluster.harness.addons import GATEWAY_CLASS
from cluster.harness.images import push_program
from cluster.harness.programs import Programs, own
from cluster.harness.simulated import SIMULATED
from cluster.harness.waiting import wait_until

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - name: probe
      image: {image}
      readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
ROUTE = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: entry}}
spec:
  gatewayClassName: {GATEWAY_CLASS}
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: first}}
spec:
  parentRefs: [{{name: entry}}]
  hostnames: [first.test]
  rules: [{{backendRefs: [{{name: first, port: 80}}]}}]
"""
GPU_POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: asks}}
spec:
  tolerations: [{{key: {SIMULATED}, operator: Exists}}]
  containers: [{{name: any, image: example.test/any, resources: {{limits: {{nvidia.com/gpu: 1}}}}}}]
"""


@pytest.fixture(scope="session")
def probe_image(cluster):
    return push_program(cluster.registry, "probe", Programs().path(own("probe")))


@pytest.fixture
def namespace(cluster_namespace):
    return cluster_namespace


@pytest.fixture
def pods(cluster, namespace, probe_image):
    """A pod on each of two nodes; their addresses by name."""
    names = ("first", "second")
    nodes = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
    for name, node in zip(names, nodes[:2], strict=True):
        pod = POD.format(name=name, node=node, image=probe_image)
        cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=pod)
    ready = ("wait", "--for=condition=Ready", "pod/first", "pod/second", "--timeout=60s")
    cluster.kubectl("-n", namespace, *ready)
    return {name: field(cluster, namespace, f"pod/{name}", "{.status.podIP}") for name in names}


def field(cluster, namespace, name, path):
    return cluster.kubectl("-n", namespace, "get", name, "-o", f"jsonpath={path}")


def ask(address, url, **more):
    """Ask a pod to ask."""
    return get(f"http://{address}:8080/ask?url={quote(url, safe='')}", **more)


def answers(address, url, name):
    return ask(address, url).text.strip() == name


def get(url, **more):
    return httpx.get(url, timeout=10, trust_env=False, **more)


def test_two_nodes_are_ready(cluster):
    found = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    conditions = [each["status"]["conditions"] for each in found]
    ready = [one["status"] for each in conditions for one in each if one["type"] == "Ready"]
    assert len(ready) >= 2
    assert set(ready) == {"True"}


def test_a_pod_of_each_node_reaches_the_other_by_address_and_by_name(cluster, namespace, pods):
    for name, other in (("first", "second"), ("second", "first")):
        assert ask(pods[name], f"http://{pods[other]}:8080/").text.strip() == other
        url = f"http://{other}.{namespace}.svc.cluster.local/"
        wait_until(partial(answers, pods[name], url, other), f"the way from {name} to {url}")


def test_a_pod_reaches_the_api_server(cluster, pods):
    answer = ask(pods["second"], "https://kubernetes.default.svc.cluster.local/version")
    assert "certificate signed by unknown authority" in answer.text


def test_nodes_pull_what_was_pushed_to_the_registry(cluster, namespace, pods, probe_image):
    digest = probe_image.partition("@")[2]
    for name in pods:
        found = field(cluster, namespace, f"pod/{name}", "{.status.containerStatuses[0].imageID}")
        assert found.endswith(digest)


def test_the_gateway_routes_by_host(cluster, namespace, pods):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=ROUTE)
    mine = f"gateway.envoyproxy.io/owning-gateway-namespace={namespace}"
    address = "jsonpath={.items[*].spec.clusterIP}"

    def service():
        return cluster.kubectl(
            "-n", "envoy-gateway-system", "get", "service", "-l", mine, "-o", address
        )

    def answered(host):
        try:
            answer = get(f"http://{service()}/", headers={"Host": host})
        except httpx.HTTPError:
            return None
        return answer.status_code, answer.text.strip()

    wait_until(service, "the Service of the gateway")
    wait_until(lambda: answered("first.test") == (200, "first"), "the route")
    assert answered("other.test")[0] == 404


def test_a_node_is_cut_off_and_comes_back(cluster, pods):
    if not cluster.nodes:
        pytest.skip("needs a cluster whose nodes may be broken: unset CLOCHE_TEST_KUBECONFIG")
    node = cluster.nodes[1]
    url = f"http://{pods['second']}:8080/"
    node.network.cut()
    try:
        with pytest.raises(httpx.HTTPError):
            httpx.get(url, timeout=1, trust_env=False)
    finally:
        node.network.mend()
    wait_until(lambda: get(url).text.strip() == "second", "the way to a mended node")
    node.wait()


def test_pods_are_scheduled_on_simulated_nodes(cluster, namespace, simulated_nodes):
    simulated_nodes("with-gpu", labels={"zone": "b"}, capacity={"nvidia.com/gpu": "4"})
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=GPU_POD)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/asks", "--timeout=60s")
    assert field(cluster, namespace, "pod/asks", "{.spec.nodeName}") == "with-gpu"
