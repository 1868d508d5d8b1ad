"""The story of the README on real nodes: deploy, new version, bad version, rollback, delete."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from fixtures.cluster_users import KINDS, ClusterUser, Entry
from fixtures.command_line import scaled_maximum
from fixtures.load import grpc_client, grpc_input, rows
from fixtures.local import until

NAME = "largest"
OF_REVISIONS = ("Deployment", "Service", "PodDisruptionBudget", "ConfigMap", "ControllerRevision")


@pytest.fixture
def model(tmp_path: Path) -> Callable[[float], Path]:
    """Write a version of the model: the maximum of a row, scaled."""
    return lambda factor: scaled_maximum(tmp_path / "model.onnx", factor)


def over_http(address: str, host: str) -> float:
    given = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 0]}
    answer = httpx.post(
        f"http://{address}/v2/models/{NAME}/infer", json={"inputs": [given]},
        headers={"Host": host}, timeout=10, trust_env=False,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return float(answer.json()["outputs"][0]["data"][0])


def over_grpc(address: str, host: str) -> float:
    with grpc_client(address, host) as client:
        return float(client.infer(NAME, grpc_input(rows(1)), client_timeout=10).as_numpy("y")[0, 0])


def answers(address: str, factor: float) -> bool:
    """Return whether a service can be reached, and answers so."""
    try:
        return over_http(address, "any") == factor
    except httpx.TransportError:
        return False


def test_the_story(
    cluster_users: Callable[[], ClusterUser],
    gateway_entry: Entry,
    model: Callable[[float], Path],
) -> None:
    ann = cluster_users()
    way = gateway_entry.address, ann.host(NAME)
    at = ann.through(gateway_entry, NAME)

    ann.declare(NAME, model(2), replicas=2, target=at)
    first = ann.deploy()
    assert (first["revision"], first["phase"]) == (1, "live")
    until(lambda: httpx.get(f"http://{way[0]}/v2", headers={"Host": way[1]}).status_code == 200)
    assert (over_http(*way), over_grpc(*way)) == (2, 2)
    assert len({pod["spec"]["nodeName"] for pod in ann.ready_pods(NAME, 1)}) == 2

    before = ann.versions(KINDS)
    assert ann.deploy()["change"] == "none"
    ours = {name for name in before if not name.startswith("Lease")}
    after = ann.versions(KINDS)
    assert {name: after.get(name) for name in ours} == {name: before[name] for name in ours}

    with ann.load(gateway_entry, NAME) as load:
        ann.declare(NAME, model(3), replicas=2, target=at)
        assert ann.deploy()["revision"] == 2
        load.more()
        assert load.answers[-1][0] == 3

        ann.declare(
            NAME, model(5), replicas=2, target=at | {"resources": {"limits": {"memory": "40Mi"}}}
        )
        bad = ann.deploy(code=1)
        assert "it needs more than the 40Mi" in bad["error"]["what"]
        assert "Revision 2 is still live" in bad["error"]["hint"]
        load.more()

        ben = cluster_users()
        ben.declare(NAME, "./gone.onnx", target=at)
        back = ben.run("rollback", NAME, "--json").expect(0).json
        assert (back["revision"], back["from"]) == (1, 2)
        load.more()
        assert load.answers[-1][0] == 2
    assert load.failures == []
    assert {value for value, _ in load.answers} == {2, 3}
    outcomes = [each["outcome"] for each in history(ben)]
    assert outcomes == ["completed", "failed", "completed", "completed"]

    ben.run("delete", NAME, "--yes").expect(0)
    left = ben.objects(KINDS)
    assert [f"{each['kind']}/{each['metadata']['name']}" for each in left] == []


def history(user: ClusterUser) -> list[dict[str, str]]:
    rollouts: list[dict[str, str]] = user.run("history", NAME, "--json").expect(0).json["rollouts"]
    return rollouts


def test_in_a_restricted_namespace_without_a_gateway(
    cluster_user: ClusterUser, model: Callable[[float], Path]
) -> None:
    ann = cluster_user
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    ann.cluster.kubectl("label", "namespace", ann.namespace, enforce)
    for number, factor in enumerate((2.0, 3.0), 1):
        ann.declare(NAME, model(factor))
        assert ann.deploy()["revision"] == number
        (service,) = (each for each in ann.objects("services") if each["metadata"]["name"] == NAME)
        address = service["spec"]["clusterIP"]
        # The nodes learn of a Service, and of what it leads to, a moment after it is written.
        until(partial(answers, f"{address}:8000", factor))
        assert over_grpc(f"{address}:8001", "any") == factor
    ann.run("delete", NAME, "--yes").expect(0)
    assert ann.objects(KINDS) == []
