"""What is live at one target, at another: the same digests, from a machine that has neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cluster.harness.cluster import Cluster
from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import scaled_maximum

NAME = "shipped"


@pytest.fixture
def prod(cluster: Cluster) -> Iterator[str]:
    """A namespace beside that of the user."""
    name = f"test-{uuid4().hex[:12]}"
    yield name
    now = ("--all", "--force", "--grace-period=0", "--timeout=60s")
    if cluster.kubectl.run("get", "namespace", name).returncode == 0:
        cluster.kubectl("-n", name, "delete", "deployments,pods", *now)
        cluster.kubectl("delete", "namespace", name, "--timeout=120s", seconds=150)


def declare(user: ClusterUser, model: Path | str, prod: str, entry: Entry) -> None:
    there = {
        "kind": "kubernetes", "context": user.cluster.context, "namespace": prod,
        "registry": f"{user.cluster.registry}/{prod}", "base": user.base, "replicas": 2,
        "labels": {"stage": "prod"}, "expose": "gateway", "gateway": entry.name,
        "host": f"{NAME}.{prod}.test",
    }  # fmt: skip
    user.declare(NAME, model, more={"prod": there})


def test_from_staging_to_production(
    cluster_users: Callable[[], ClusterUser], gateway_entry: Entry, prod: str, tmp_path: Path
) -> None:
    ann, ben = cluster_users(), cluster_users()
    declare(ann, scaled_maximum(tmp_path / "model.onnx", 4), prod, gateway_entry)
    ann.deploy()
    declare(ben, "./gone.onnx", prod, gateway_entry)
    words = ("ship", NAME, "--from", "test", "--to", "prod", "--json")
    missing = ben.user.run(*words).expect(1).json["error"]
    assert missing["code"] == "target.kubernetes.namespace"
    shipped = ben.user.run(*words, "--create-namespace").expect(0).json
    assert (shipped["revision"], shipped["phase"]) == (1, "live")

    images = []
    for namespace in (ann.namespace, prod):
        path = "jsonpath={.items[0].spec.template.spec.containers[0].image}"
        images.append(ann.cluster.kubectl("-n", namespace, "get", "deployments", "-o", path))
    assert images[0] != images[1]
    assert images[0].partition("@")[2] == images[1].partition("@")[2]
    assert f"/{prod}/" in images[1]
    shown = [ben.user.run("image", "inspect", each, "--json").expect(0).json for each in images]
    assert shown[0]["verdicts"]
    assert shown[1]["verdicts"] == shown[0]["verdicts"]
    path = "jsonpath={.items[0].spec.template.metadata.labels.stage} {.items[0].spec.replicas}"
    assert ann.cluster.kubectl("-n", prod, "get", "deployments", "-o", path) == "prod 2"

    asked = ("infer", NAME, "-i", "-", "--json", "--target", "prod")
    (said,) = ben.user.run(*asked, given='{"x": [[1, 2]]}').expect(0).json["outputs"]
    assert said["data"] == [8.0]
    again = ben.user.run(*words).expect(0).json
    assert again["change"] == "none"
    same = ben.user.run("ship", NAME, "--from", "prod", "--to", "prod", "--json").expect(2).json
    assert same["error"]["code"] == "ship.same"
    gone = ben.user.run(*words, "--revision", "9").expect(1).json
    assert gone["error"]["code"] == "revision.unknown"
