"""The guides on clusters and the READMEs, as they are written, on real nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from cloche.clients.oci import reference as references
from fixtures import by_hand
from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.gpu_nodes import gpu_labels
from fixtures.local import until
from fixtures.pages import block, blocks
from fixtures.written import bash, declared

CPU, GPU, SCALING, GITOPS = (
    f"docs/guides/{name}.md" for name in ("cpu-cluster", "gpu-cluster", "autoscaling", "gitops")
)
SPEC = "# cloche.yaml"


def on_cpus(user: ClusterUser, page: str, more: str = "") -> None:
    """Write the cloche.yaml of a page, whose model is a file."""
    others = {"context: test": f"context: {user.cluster.context}", "base: cpu": quoted(user.base)}
    declared(user, block(page, "yaml", SPEC) + more, others)


def quoted(base: str) -> str:
    return f'base: "{base}"'


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_commands_of_the_readmes(cluster_users: Callable[[], ClusterUser], page: str) -> None:
    ann = cluster_users()
    scaled_maximum(ann.user.folder / "model.onnx", 2)
    on_cpus(ann, page)
    (commands,) = blocks(page, "bash")
    said = bash(ann, commands)
    assert "scores: would be created." in said
    assert "scores revision 1 is live." in said
    assert re.search(r"scores +1 +live +2/2", said)


def test_a_cpu_cluster(cluster_users: Callable[[], ClusterUser], gateway_entry: Entry) -> None:
    ann = cluster_users()
    model = ann.user.folder / "digits.onnx"
    scaled_maximum(model, 2)
    on_cpus(ann, CPU)
    said = bash(ann, block(CPU, "sh", "cloche infer scores"))
    assert "scores revision 1 is live." in said
    assert "curl" in said
    scaled_maximum(model, 3)
    assert "scores revision 2 is live." in bash(ann, block(CPU, "sh", "plan.json"))
    outside = block(CPU, "yaml", "expose: gateway")
    host = f"scores.{ann.namespace}.test"
    outside = outside.replace("infra/public", gateway_entry.name)
    on_cpus(ann, CPU, outside.replace("scores.example.com", host))
    bash(ann, "cloche deploy --target staging")
    request = (
        block(CPU, "sh", "http://scores.example.com")
        .strip()
        .replace(
            "http://scores.example.com", f"-sf -H 'Host: {host}' http://{gateway_entry.address}"
        )
    )
    until(lambda: '"name":"scores"' in bash(ann, f"{request} || true"))
    said = bash(ann, block(CPU, "sh", "cloche rollback scores --target staging\ncloche history"))
    assert "scores revision 1 is live, rolled back from revision 2." in said
    assert "scores: 3 replicas wanted, 3 ready." in said
    assert "scores is gone." in said


def test_adopting_what_runs(cluster_user: ClusterUser) -> None:
    ann = cluster_user
    image = f"{ann.cluster.registry}/{ann.namespace}/hand:1"
    scaled_maximum(ann.user.folder / "digits.onnx", 2)
    on_cpus(ann, CPU)
    bash(ann, f"cloche image build --base {ann.base} --tag {image} --push")
    made = (by_hand.workload(image, replicas=1), by_hand.front())
    ann.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, made)))
    ann.kubectl("rollout", "status", "deployment/triton", "--timeout=120s", seconds=150)
    scaled_maximum(ann.user.folder / "digits.onnx", 3)
    # Nobody is there to answer: each question gets the yes that it asks for.
    commands = block(CPU, "sh", "cloche adopt").splitlines()
    asking = ("cloche adopt", "cloche delete")
    said = bash(ann, "\n".join(
        line.replace("staging", "staging --yes", 1) if line.startswith(asking) else line
        for line in commands
    ))  # fmt: skip
    assert "models      scores" in said
    assert "scores revision 1 is live: Deployment triton, as it was." in said
    assert "scores revision 2 is live." in said
    assert "scores revision 1 is live, rolled back from revision 2." in said
    assert "scores is gone." in said


@pytest.fixture
def gpu_nodes(cluster_user: ClusterUser) -> Iterator[None]:
    """Have the nodes say that each has a GPU, as NVIDIA's device plugin and labels do."""
    cluster = cluster_user.cluster
    names = cluster.kubectl("get", "nodes", "-o", "name").split()
    product = "NVIDIA-A100-SXM4-80GB"
    labels = gpu_labels(product, memory=81920, capability=(8, 0), family="ampere")
    handler = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "runc",
               "metadata": {"name": "nvidia"}}  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(handler))

    def hand_out(count: str | None) -> None:
        told = {"status": {"capacity": {"nvidia.com/gpu": count}}}
        for name in names:
            words = ("--subresource=status", "--type=merge", "-p", json.dumps(told))
            cluster.kubectl("patch", name, *words)
            given = [f"{key}={value}" if count else f"{key}-" for key, value in labels.items()]
            cluster.kubectl("label", name, "--overwrite", *given)

    def allocatable() -> list[str]:
        path = "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}"
        return cluster.kubectl("get", "nodes", "-o", path).split()

    hand_out("1")
    try:
        until(lambda: allocatable() == ["1"] * len(names), 60)
        yield
    finally:
        hand_out(None)
        cluster.kubectl("delete", "runtimeclass", "nvidia")


def with_cuda(user: ClusterUser) -> str:
    """Return a base that runs here, and says of itself what NVIDIA's containers say."""
    asked = references.parse(user.base)
    path = f"http://{asked.host}/v2/{asked.name}"
    kind = "application/vnd.oci.image.manifest.v1+json"
    with httpx.Client(trust_env=False, headers={"Accept": f"{kind}, */*"}) as client:
        manifest = client.get(f"{path}/manifests/{asked.tag}").json()
        if "manifests" in manifest:
            manifest = client.get(f"{path}/manifests/{manifest['manifests'][0]['digest']}").json()
        config = client.get(f"{path}/blobs/{manifest['config']['digest']}").json()
        config["config"]["Env"] += [
            "NVIDIA_TRITON_SERVER_VERSION=26.07", "CUDA_VERSION=13.3.1",
        ]  # fmt: skip
        manifest["config"] |= pushed(client, path, config)
        name = "gpu"
        headers = {"Content-Type": kind}
        done = client.put(f"{path}/manifests/{name}", json=manifest, headers=headers)
        assert done.status_code == 201, done.text
    return f"{asked.host}/{asked.name}:{name}"


def pushed(client: httpx.Client, path: str, document: Any) -> dict[str, Any]:
    """Return the descriptor of a document that a registry then has."""
    data = json.dumps(document).encode()
    digest = f"sha256:{sha256(data).hexdigest()}"
    begun = client.post(f"{path}/blobs/uploads/")
    where = httpx.URL(path).join(begun.headers["location"])
    done = client.put(where.copy_merge_params({"digest": digest}), content=data)
    assert done.status_code == 201, done.text
    return {"digest": digest, "size": len(data)}


@pytest.mark.usefixtures("gpu_nodes")
def test_a_gpu_cluster(cluster_user: ClusterUser) -> None:
    ann = cluster_user
    scaled_maximum(ann.user.folder / "model.onnx", 2)
    base = f"    {quoted(with_cuda(ann))}\n    node_selector:"
    declared(ann, block(GPU, "yaml", SPEC), {
        "models:/resnet50@champion": "./model.onnx",
        "context: prod": f"context: {ann.cluster.context}",
        "    node_selector:": base,
    })  # fmt: skip
    said = bash(ann, block(GPU, "sh", "cloche doctor --target prod"))
    assert "native: driver 580.95.05 runs CUDA 13.3" in said
    assert "1 of 1 free" in said
    assert "resnet50 revision 1 is live." in said
    (first, second) = ann.ready_pods("resnet50", 1)
    assert first["spec"]["nodeName"] != second["spec"]["nodeName"]
    assert first["spec"]["runtimeClassName"] == "nvidia"
    bash(ann, "cloche delete resnet50 --target prod --yes")


def test_autoscaling(cluster_user: ClusterUser, autoscaling: str) -> None:
    ann = cluster_user
    scaled_maximum(ann.user.folder / "model.onnx", 2)
    base = f"    {quoted(ann.base)}\n    prometheus:"
    declared(ann, block(SCALING, "yaml", "replicas: 2..20"), {
        "models:/scores@champion": "./model.onnx",
        "context: staging": f"context: {ann.cluster.context}",
        "http://prometheus.monitoring.svc:9090": autoscaling,
        "    prometheus:": base,
    })  # fmt: skip
    said = bash(ann, block(SCALING, "sh", "cloche scale"))
    assert "scores revision 1 is live." in said
    assert re.search(r"scores +1 +live +\d of 2\.\.20", said)
    assert "scores: 3..40 replicas wanted, 3 ready." in said
    refused = ann.user.run("scale", "scores", "6", "--target", "staging").expect(1)
    assert "Its autoscaler sets the number of replicas, 3 to 40." in refused.err


def test_gitops(cluster_user: ClusterUser) -> None:
    ann = cluster_user
    scaled_maximum(ann.user.folder / "digits.onnx", 2)
    on_cpus(ann, CPU)
    bash(ann, block(GITOPS, "sh", "cloche export helm"))
    chart = ann.user.folder / "deploy" / "scores"
    assert (chart / "Chart.yaml").is_file()
    kustomize = block(GITOPS, "sh", "cloche export helm").splitlines()[1]
    bash(ann, kustomize)
    assert not (chart / "Chart.yaml").exists()
    ann.kubectl("apply", "-k", str(chart))
    ann.kubectl("rollout", "status", "deployment/scores", "--timeout=180s", seconds=200)
    ann.kubectl("delete", "-k", str(chart))
