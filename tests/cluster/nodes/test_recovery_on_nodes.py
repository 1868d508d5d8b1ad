"""What happens to a service when a command, a record, an image or a person comes in between."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fixtures.cluster_users import ClusterUser, Entry
from fixtures.command_line import end, scaled_maximum
from fixtures.local import until

NAME = "digits"


@pytest.fixture
def ann(cluster_user: ClusterUser) -> ClusterUser:
    """Somebody with a service that is live."""
    deployed(cluster_user, 2)
    return cluster_user


def deployed(user: ClusterUser, factor: float, *words: str, code: int = 0, **spec: Any) -> Any:
    scaled_maximum(user.user.folder / "model.onnx", factor)
    user.declare(NAME, "./model.onnx", **{"resources": {"cpu": 0.05}, **spec})
    return user.deploy(*words, code=code)


def test_a_command_that_is_told_to_end_leaves_what_is_live(ann: ClusterUser) -> None:
    scaled_maximum(ann.user.folder / "model.onnx", 3)
    command = ann.begin("deploy")
    until(lambda: ann.objects("deployments", NAME)[1:], 60)
    command.send_signal(signal.SIGTERM)
    ended = end(command)
    assert ended.code == 130
    assert "Revision 2 of digits is recorded" in ended.err
    assert "The same deploy goes on with it" in ended.err
    assert "Nothing was deployed" not in ended.err
    assert ann.objects("leases", NAME) == []
    status = ann.run("status", NAME, "--json").expect(0).json["services"][0]
    assert (status["live"], status["wanted"]) == (1, 2)
    assert ann.deploy()["phase"] == "live"
    assert [pod["metadata"]["name"][:9] for pod in ann.ready_pods(NAME, 2)] == ["digits-r2"]


def test_a_record_that_someone_removed(ann: ClusterUser) -> None:
    ann.kubectl("delete", "configmap", "cloche-digits")
    for words in (("status", NAME), ("history", NAME)):
        error = ann.run(*words, "--json").expect(1).json["error"]
        assert error["code"] == "state.lost"
        assert "revision 1 of it is still there" in error["what"]
    (problem,) = ann.run("status", "--json").expect(0).json["problems"]
    assert problem["code"] == "state.lost"
    scaled = ann.run("scale", NAME, "2").expect(0)
    assert "The record of digits was gone. It was made anew" in scaled.err
    assert len(ann.ready_pods(NAME, 1)) == 2
    ann.kubectl("delete", "configmap", "cloche-digits")
    assert deployed(ann, 3, replicas=2)["revision"] == 2
    ann.kubectl("delete", "configmap", "cloche-digits")
    back = ann.run("rollback", NAME, "--to", "1", "--json").expect(0).json
    assert (back["revision"], back["from"]) == (1, 2)
    events = ann.run("events", NAME, "--json").expect(0).out
    assert events.count("was made anew from its revisions") == 3
    ann.kubectl("delete", "configmap", "cloche-digits")
    ann.run("delete", NAME, "--yes").expect(0)
    assert ann.objects("deployments,controllerrevisions.apps,configmaps", NAME) == []


def test_an_image_that_the_registry_lost(ann: ClusterUser) -> None:
    (revision,) = ann.objects("controllerrevisions.apps", NAME)
    host, _, name = revision["data"]["image"].partition("/")
    repository, _, digest = name.partition("@")
    assert deployed(ann, 3)["revision"] == 2
    gone = urllib.request.Request(
        f"http://{host}/v2/{repository}/manifests/{digest}", method="DELETE"
    )
    with urllib.request.urlopen(gone, timeout=30) as answer:
        assert answer.status == 202
    error = ann.run("rollback", NAME, "--json").expect(1).json["error"]
    assert error["code"] == "rollback.gone"
    assert digest in error["where"]
    assert "Deploy its model again" in error["hint"]
    assert ann.run("history", NAME, "--json").expect(0).json["restorable"] == [2]
    assert len(ann.ready_pods(NAME, 2)) == 1


def test_two_people_deploy_at_once(cluster_users: Callable[[], ClusterUser]) -> None:
    people = [cluster_users(), cluster_users()]
    for number, person in enumerate(people):
        scaled_maximum(person.user.folder / "model.onnx", 2 + number)
        person.declare(NAME, "./model.onnx", resources={"cpu": 0.05})
    commands = [person.begin("deploy", "--replace", "--json") for person in people]
    ended = [end(command, limit=240) for command in commands]
    assert sorted(one.code for one in ended) in ([0, 3], [0, 0])
    for one in ended:
        if one.code == 3:
            assert one.json["error"]["code"] == "deploy.superseded"
    status = people[0].run("status", NAME, "--json").expect(0).json["services"][0]
    assert status["phase"] == "live"
    (winner,) = {one.json["revision"] for one in ended if one.code == 0 and "revision" in one.json
                 and one.json["revision"] == status["live"]}  # fmt: skip
    assert len(people[0].ready_pods(NAME, winner)) == 1


@pytest.mark.parametrize("names", [("a", "a-r2"), ("7" + "x" * 62,)])
def test_names_that_could_meet(cluster_user: ClusterUser, names: tuple[str, ...]) -> None:
    user = cluster_user
    for factor in (2, 3):
        for name in names:
            scaled_maximum(user.user.folder / "model.onnx", factor)
            user.declare(name, "./model.onnx", resources={"cpu": 0.05})
            assert user.deploy()["phase"] == "live"
    for name in names:
        assert len(user.ready_pods(name, 2)) == 1
        (user.user.folder / "x.json").write_text('{"x": [[1, 2]]}')
        answer = user.run("infer", name, "-i", "x.json", "--json").expect(0).json
        assert answer["outputs"][0]["data"] == [6]
    user.run("delete", names[0], "--yes").expect(0)
    for name in names[1:]:
        assert len(user.ready_pods(name, 2)) == 1


def test_a_golden_request_of_five_megabytes(cluster_user: ClusterUser) -> None:
    """The answer is too large for a ConfigMap: pods are asked about shapes, we compare."""
    size = 5 * 2**20 // 4
    folder = cluster_user.user.folder
    value = helper.make_tensor_value_info
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["y"])], "g",
        [value("x", TensorProto.FLOAT, ["batch", size])],
        [value("y", TensorProto.FLOAT, ["batch", size])], [two],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "wide.onnx")
    np.save(folder / "example.npy", np.linspace(0, 1, size, dtype="f4")[None])
    cluster_user.declare("wide", "./wide.onnx", example="./example.npy")
    answer = cluster_user.deploy()
    assert answer["phase"] == "live"
    assert answer["verification"]["judge"] == "reference"
    (probe,) = [
        each for each in cluster_user.objects("configmaps", "wide")
        if each["metadata"]["name"] == "wide-r1"
    ]  # fmt: skip
    assert "expected" not in probe["binaryData"]
    assert len(json.dumps(probe)) < 2**20


def test_a_hostname_that_another_service_has(
    ann: ClusterUser, gateway_entry: Entry, cluster_users: Callable[[], ClusterUser]
) -> None:
    at = ann.through(gateway_entry, NAME)
    assert deployed(ann, 2, target=at)["phase"] == "live"
    other = cluster_users()
    scaled_maximum(other.user.folder / "model.onnx", 3)
    other.declare("words", "./model.onnx", target=at, resources={"cpu": 0.05})
    error = other.deploy(code=1)["error"]
    assert error["code"] == "target.kubernetes.host"
    assert f"HTTPRoute {ann.namespace}/digits" in error["what"]
    assert other.objects("deployments", "words") == []


LISTENER = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: closed}
spec:
  gatewayClassName: CLASS
  listeners:
    - name: http
      port: 80
      protocol: HTTP
      hostname: "*.elsewhere.test"
"""


def test_a_listener_that_takes_no_such_host(ann: ClusterUser, gateway_entry: Entry) -> None:
    found = ann.cluster.kubectl("get", "gatewayclass", "-o", "jsonpath={.items[0].metadata.name}")
    ann.kubectl("apply", "-f", "-", stdin=LISTENER.replace("CLASS", found))
    at = {"expose": "gateway", "gateway": f"{ann.namespace}/closed", "host": ann.host(NAME)}
    error = deployed(ann, 3, target=at, code=1)["error"]
    assert error["code"] == "target.kubernetes.route_refused"
    assert "NoMatchingListenerHostname" in error["what"]
    assert "allowedRoutes" in error["hint"]
