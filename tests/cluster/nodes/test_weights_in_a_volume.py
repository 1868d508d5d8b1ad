"""Models in an image volume beside the shared image of the server, on real nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fixtures.cluster_users import KINDS, ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.local import until

NAME = "light"


def container(user: ClusterUser, number: int) -> dict[str, Any]:
    (found,) = (
        each for each in user.objects("deployments", NAME)
        if each["metadata"]["name"] == f"{NAME}-r{number}"
    )  # fmt: skip
    (server,) = found["spec"]["template"]["spec"]["containers"]
    volumes = {each["name"]: each for each in found["spec"]["template"]["spec"]["volumes"]}
    return {"server": server["image"], "models": volumes["models"]["image"]["reference"]}


def test_versions_share_the_image_of_the_server(
    cluster_user: ClusterUser, gateway_entry: Entry, tmp_path: Path
) -> None:
    ann = cluster_user
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    ann.cluster.kubectl("label", "namespace", ann.namespace, enforce)
    at = ann.through(gateway_entry, NAME) | {"weights": "auto"}
    model = tmp_path / "model.onnx"

    ann.declare(NAME, scaled_maximum(model, 2), target=at)
    reasons = ann.run("plan", "--json").expect(0).json["reasons"]
    (reason,) = (each for each in reasons if each["field"] == "pod.weights")
    assert reason["value"] == "volume"
    assert "nodes can mount it" in reason["why"]
    assert ann.deploy()["phase"] == "live"
    assert ann.deploy()["change"] == "none"
    first = container(ann, 1)
    until(lambda: ann.reached(gateway_entry, NAME), 60)
    with ann.load(gateway_entry, NAME) as load:
        ann.declare(NAME, scaled_maximum(model, 3), target=at)
        assert ann.deploy()["revision"] == 2
        load.more()
        assert load.answers[-1][0] == 3
        second = container(ann, 2)
        ann.run("scale", NAME, "2").expect(0)
        # Its pods are made anew, from the registry.
        ann.kubectl("delete", "deployment", f"{NAME}-r1", "--cascade=foreground")
        ann.run("rollback", NAME).expect(0)
        load.more()
        assert load.answers[-1][0] == 2
    assert load.failures == []
    assert first["server"] == second["server"]
    assert first["models"] != second["models"]
    assert first["models"] != first["server"]
    ann.run("verify", NAME).expect(0)
    ann.run("delete", NAME, "--yes").expect(0)
    assert ann.objects(KINDS) == []
