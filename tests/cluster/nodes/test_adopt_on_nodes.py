"""A Deployment made by hand: adopted, followed by a version of Cloche's, and given back."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_story import answers

from fixtures import by_hand
from fixtures.cluster_users import KINDS, ClusterUser
from fixtures.command_line import scaled_maximum
from fixtures.load import Load
from fixtures.local import until

NAME, FRONT, LABELS = "largest", by_hand.FRONT, by_hand.LABELS


def made(user: ClusterUser, *objects: dict[str, Any]) -> None:
    """Make objects, the first a Deployment, and wait until its pods are ready."""
    text = "\n---\n".join(json.dumps(each) for each in objects)
    user.kubectl("apply", "-f", "-", stdin=text)
    name = objects[0]["metadata"]["name"]
    user.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s", seconds=150)


@pytest.fixture
def address(cluster_user: ClusterUser, tmp_path: Path) -> str:
    """Make a Deployment and a Service by hand, and return the address of the Service."""
    ann, image = cluster_user, f"{cluster_user.cluster.registry}/{cluster_user.namespace}/hand:1"
    (ann.user.folder / "hand.yaml").write_text(
        json.dumps({"name": NAME, "model": str(scaled_maximum(tmp_path / "hand.onnx", 2))})
    )
    words = ("-f", "hand.yaml", "--base", ann.base, "--tag", image, "--push")
    ann.user.run("image", "build", *words).expect(0)
    workload = by_hand.workload(image, name=NAME, ready=f"/v2/models/{NAME}/ready")
    made(ann, workload, by_hand.front())
    found = ann.kubectl("get", "service", FRONT, "-o", "jsonpath={.spec.clusterIP}")
    until(partial(answers, f"{found}:80", 2))
    return found


def there(user: ClusterUser, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(user.kubectl("get", kind, name, "-o", "json"))
    return found


def as_made(user: ClusterUser) -> list[Any]:
    """Return what people and controllers asked for, without what became of it."""
    text = user.kubectl("get", "deployments,services,pods", "-o", "json")
    return [
        [each["metadata"].get("labels"), each["metadata"].get("annotations"), each["spec"]]
        for each in json.loads(text)["items"]
    ]


def selector(user: ClusterUser) -> dict[str, str]:
    chosen: dict[str, str] = there(user, "service", FRONT)["spec"]["selector"]
    return chosen


def test_the_story_of_an_adopted_deployment(
    cluster_user: ClusterUser, address: str, tmp_path: Path
) -> None:
    ann = cluster_user
    ann.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 3), replicas=2)
    before, pods = there(ann, "deployment", NAME), ann.kubectl("get", "pods", "-o", "name")
    load = Load(f"{address}:80", NAME, over_grpc=f"{address}:8001", pause=0.01)
    with load:
        asked = ann.run("adopt", NAME, "--json").expect(2).json["error"]
        assert asked["code"] == "usage.confirmation"
        assert ann.objects(KINDS) == []
        adopted = ann.run("adopt", NAME, "--yes", "--json").expect(0).json
        assert (adopted["revision"], adopted["front"]) == (1, FRONT)
        assert (adopted["deployment"], adopted["models"]) == (NAME, [NAME])
        assert adopted["replicas"] == {"wanted": 2, "ready": 2}
        assert adopted["http"] == f"http://{FRONT}.{ann.namespace}.svc:80/v2/models/{NAME}/infer"
        assert there(ann, "deployment", NAME)["spec"] == before["spec"]
        assert ann.kubectl("get", "pods", "-o", "name") == pods
        assert selector(ann) == LABELS
        load.more()

        (shown,) = ann.run("status", NAME, "--json").expect(0).json["services"]
        assert (shown["model"]["digest"], shown["verification"]["judge"]) == (None, "none")
        plan = ann.run("plan", "--json").expect(0).json
        assert "take_over" not in {each["consent"] for each in plan["questions"]}
        assert {each["name"] for each in plan["objects"] if each["kind"] == "Service"} == {
            FRONT, f"{NAME}-r2",
        }  # fmt: skip
        assert ann.deploy()["revision"] == 2
        assert selector(ann)["cloche.dev/revision"] == "2"
        until(lambda: load.answers[-1][0] == 3 or load.answers[-2][0] == 3, 30)
        load.more(50)

        back = ann.run("rollback", NAME, "--json").expect(0).json
        assert (back["revision"], back["from"]) == (1, 2)
        assert selector(ann) == LABELS
        load.more(50)
        assert ann.run("rollback", NAME, "--to", "2", "--json").expect(0).json["revision"] == 2
        load.more(50)
        ann.run("delete", NAME, "--yes").expect(0)
        load.more(50)
    assert load.failures == []
    assert {value for value, _ in load.answers} == {2, 3}
    assert ann.objects(KINDS) == []
    left = there(ann, "deployment", NAME)
    assert (left["spec"], left["metadata"].get("labels")) == (before["spec"], None)
    assert selector(ann) == LABELS
    assert ann.kubectl("get", "pods", "-o", "name") == pods


def test_what_cannot_be_adopted_is_left_as_it_is(cluster_user: ClusterUser, tmp_path: Path) -> None:
    ann = cluster_user
    ann.declare(NAME, scaled_maximum(tmp_path / "model.onnx", 3))
    other = by_hand.workload(ann.base, name="web", replicas=1, ready="/")
    (container,) = other["spec"]["template"]["spec"]["containers"]
    container["command"] = ["python3", "-m", "http.server", "8000", "--directory", "/var"]
    del container["args"]
    made(ann, other, by_hand.front())

    def refused(*words: str, name: str = NAME, code: int = 1) -> str:
        done = ann.run("adopt", name, "--yes", "--json", *words).expect(code)
        told: str = done.json["error"]["code"]
        return told

    before = as_made(ann)
    assert refused() == "adopt.deployment"
    assert refused("--deployment", "web", code=2) == "adopt.protocol"
    assert refused("--deployment", "web", "--service", "gone") == "adopt.service"
    assert refused("--deployment", "web", name="Not_A_Name", code=2) == "service.name"
    nowhere = ann.user.run("adopt", NAME, "--yes", "--json").expect(2).json["error"]
    assert nowhere["code"] == "adopt.target"
    assert as_made(ann) == before
    assert ann.objects(KINDS) == []

    ann.deploy()
    assert refused("--deployment", "web") == "adopt.exists"
