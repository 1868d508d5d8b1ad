"""Requests as the gateway counts them, in `status` and `top`: real Envoy, then real Triton too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from running_gateway import Calls, Running, installed, label, running
from tritonclient import grpc as over_grpc

from cloche.targets.local.envoy.statistics import Counts
from fixtures.command_line import User, a_user, scaled_maximum
from fixtures.local import until


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, installed(), gateway_request_timeout=1.0) as gateway:
        yield gateway


def counted(gateway: Running) -> Counts:
    """Return what all processes have counted of revision 1 of `a`."""
    found = gateway.gateway.counts().values()
    return sum((each.get(("a", 1), Counts()) for each in found), Counts())


def test_answers_errors_and_losses_are_told_apart(gateway: Running) -> None:
    replica = gateway.replica("a1")
    gateway.serve("a", (100, replica))
    for _ in range(20):
        assert label(gateway, "a") == "a1"
    calls = Calls(gateway.address)
    for _ in range(10):
        calls.infer("a")
    model = f"{gateway.url}/v2/models/a"
    assert httpx.get(f"{model}/config").status_code == 503  # the replica breaks off
    replica.gate.clear()
    assert httpx.post(f"{model}/generate", json={}, timeout=20).status_code == 504
    with pytest.raises(grpc.RpcError) as late:
        calls.infer("a")
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    replica.gate.set()
    until(lambda: counted(gateway).times.total() >= 30)
    found = counted(gateway)
    assert (found.answered, found.errors, found.lost) == (33, 0, 3)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with a_user() as somebody:
        somebody.deploy(scaled_maximum(somebody.folder / "largest.onnx", 1), "largest")
        yield somebody


def test_status_and_top_show_the_requests_of_each_protocol(user: User) -> None:
    url = f"http://{user.address}/v2/models/largest/infer"
    numbers = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    for _ in range(20):
        assert httpx.post(url, json={"inputs": [numbers]}).status_code == 200
    for _ in range(5):  # the caller's mistake is an answer, and no error
        wrong = {**numbers, "datatype": "INT32"}
        assert httpx.post(url, json={"inputs": [wrong]}).status_code == 400
    given = over_grpc.InferInput("x", [1, 2], "FP32")
    given.set_data_from_numpy(np.ones((1, 2), np.float32))
    with over_grpc.InferenceServerClient(user.address) as client:
        for _ in range(10):
            client.infer("largest", [given])

    def traffic() -> dict[str, object]:
        (service,) = user.run("status", "--json").expect(0).json["services"]
        return dict(service["traffic"] or {"requests": None})

    # What verified the service went to its replica, not through the gateway.
    until(lambda: traffic()["requests"] == 35)
    until(lambda: traffic()["p99_ms"] is not None)
    seen = traffic()
    assert (seen["errors"], seen["lost"]) == (0, 0)
    assert set(seen["revisions"]) == {"1"}
    said = user.run("status", "largest").expect(0).out
    assert "35 requests, 0 errors, 0 lost, p50 " in said
    top = user.run("top").expect(0).out.splitlines()
    assert top[1].split() == [
        "NAME", "REVISION", "READY", "REQ/S", "REQUESTS", "ERRORS", "LOST", "P50", "P99",
    ]  # fmt: skip
    assert top[2].split()[:3] == ["largest", "1", "1/1"]
    looks = user.run("top", "largest", "--json", "--count", "2", "--every", "50ms").expect(0).out
    first, second = map(json.loads, looks.splitlines())
    assert first["services"][0]["traffic"]["requests"] == 35
    assert {"at", "gateway", "services"} == set(second)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("top", "other"), 1, "service.unknown"),
        (("top", "--every", "0"), 2, "usage.every"),
        (("top", "--every", "soon"), 2, "usage.arguments"),
        (("top", "--count", "0"), 2, "usage.arguments"),
    ],
)
def test_what_top_refuses(user: User, words: tuple[str, ...], code: int, said: str) -> None:
    assert user.run(*words).expect(code).err.startswith(f"error[{said}]")
