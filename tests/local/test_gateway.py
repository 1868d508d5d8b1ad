"""The gateway: a real Envoy in front of small servers that speak as Triton does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from running_gateway import Calls, Running, installed, running, service
from tritonclient.grpc import service_pb2

from cloche.targets.local.envoy.installation import EnvoyInstallation
from cloche.targets.local.envoy.services import (
    GatewayState,
)

MIB = 2**20
LIMITS: dict[str, Any] = {"gateway_max_request_bytes": 4 * MIB, "gateway_request_timeout": 1.0}


@pytest.fixture(scope="module")
def envoy() -> EnvoyInstallation:
    return installed()


@pytest.fixture(scope="module", params=["", "a", "ab"], ids="own routes of: {}".format)
def shared(
    envoy: EnvoyInstallation,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Running]:
    """Two services: `a` with a canary, and `b`, which has a model of the same name later.

    Those that the parameter names have routes of their own, with the gateway's own timeout.
    """
    with running(tmp_path_factory.mktemp("shared"), envoy, **LIMITS) as gateway:
        one, two, other = (gateway.replica(label) for label in ("a1", "a2", "b1"))
        services = (
            service("a", (100, one), (0, two), models=("a", "same")),
            service("b", (100, other), models=("b", "same", "its-own"), plain=("b", "its-own")),
        )
        limit = gateway.gateway.settings.gateway_request_timeout
        gateway.gateway.apply(
            GatewayState(
                tuple(
                    replace(each, timeout=limit) if each.name in request.param else each
                    for each in services
                )
            )
        )
        yield gateway


@pytest.fixture
def gateway(envoy: EnvoyInstallation, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, envoy) as found:
        yield found


@pytest.fixture
def http(shared: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared.url, timeout=20) as client:
        yield client


@pytest.fixture
def calls(shared: Running) -> Iterator[Calls]:
    found = Calls(shared.address)
    yield found
    found.channel.close()


# ── which service and revision ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "headers", "label", "revision"),
    [
        ("/v2/models/a/infer", {}, "a1", "1"),
        ("/v2/models/a/versions/1/infer", {}, "a1", "1"),
        ("/v2/models/its-own/infer?x=1", {}, "b1", "1"),
        ("/v2/models/a/infer", {"cloche-revision": "2"}, "a2", "2"),
        ("/v2/models/same/infer", {}, "a1", "1"),
        ("/v2/models/same/infer", {"cloche-service": "b"}, "b1", "1"),
        ("/v2/models/same/infer", {"host": "b.localhost"}, "b1", "1"),
        ("/v2/models/same/infer", {"host": "a.localhost:9", "cloche-revision": "2"}, "a2", "2"),
    ],
)
def test_http_is_routed_by_path_host_and_header(
    http: httpx.Client, path: str, headers: dict[str, str], label: str, revision: str
) -> None:
    answer = http.post(path, headers=headers, json={})
    assert answer.json()["label"] == label
    assert answer.headers["cloche-revision"] == revision


@pytest.mark.parametrize("call", ["", "/ready", "/stats", "/generate", "/versions/1/ready"])
def test_calls_about_a_model_pass(http: httpx.Client, call: str) -> None:
    assert http.get(f"/v2/models/a{call}").json()["label"] == "a1"


@pytest.mark.parametrize(
    ("model", "metadata", "label"),
    [
        ("a", (), "a1"),
        ("its-own", (), "b1"),
        ("same", (), "a1"),
        ("same", (("cloche-service", "b"),), "b1"),
        ("a", (("cloche-revision", "2"),), "a2"),
        ("whatever", (("cloche-service", "b"),), "b1"),
    ],
)
def test_grpc_is_routed_by_message_and_metadata(
    calls: Calls, model: str, metadata: tuple[tuple[str, str], ...], label: str
) -> None:
    answer, call = calls.infer(model, *metadata)
    assert answer.model_name == label
    assert dict(call.initial_metadata())["cloche-revision"] == label[1]


def test_grpc_is_routed_by_host(shared: Running) -> None:
    by_host = Calls(shared.address, more=[("grpc.default_authority", "b.localhost:1")])
    try:
        assert by_host.infer("whatever")[0].model_name == "b1"
    finally:
        by_host.channel.close()


def test_a_stream_goes_both_ways_while_it_is_open(calls: Calls) -> None:
    sent: list[threading.Event] = [threading.Event() for _ in range(3)]

    def requests() -> Iterator[Any]:
        for number, ready in enumerate(sent):
            assert ready.wait(20)
            yield service_pb2.ModelInferRequest(model_name="a", id=str(number))

    sent[0].set()
    for number, answer in enumerate(calls.stub.ModelStreamInfer(requests(), timeout=20)):
        assert answer.infer_response.id == str(number)
        if number + 1 < len(sent):
            sent[number + 1].set()


def test_nothing_of_the_gateway_is_added_to_a_request(http: httpx.Client) -> None:
    seen = http.post("/v2/models/a/infer", json={}).json()["headers"]
    assert not [name for name in seen if name.startswith(("x-envoy", "x-request", "x-forwarded-f"))]


# ── what the gateway answers itself ───────────────────────────────────────────────────────────


def test_the_server_as_a_whole_is_answered_without_any_service(gateway: Running) -> None:
    with httpx.Client(base_url=gateway.url) as client:
        assert client.get("/v2").json()["name"] == "triton"
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
    calls = Calls(gateway.address)
    try:
        assert calls.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=20).live
        assert calls.stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=20).ready
        metadata = calls.stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=20)
        assert metadata.name == "triton"
    finally:
        calls.channel.close()


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/v2/models/nope/infer", {}, 404, "Request for unknown model: 'nope' is not found"),
        ('/v2/models/q"\\/infer', {}, 404, "model: 'q"),
        ("/v2/models/a/infer", {"cloche-revision": "7"}, 404, "'a' is not found in revision 7"),
        (
            "/v2/models/a/infer",
            {"cloche-service": "b"},
            404,
            "unknown model: 'a' is not found in service 'b'",
        ),
        (
            "/v2/models/its-own/infer",
            {"host": "a.localhost"},
            404,
            "unknown model: 'its-own' is not found",
        ),
        (
            "/v2/models/a/infer",
            {"host": "nope.localhost"},
            404,
            "unknown model: 'a' is not found in service 'nope'",
        ),
        ("/v2/models/a/versions/2/infer", {}, 404, "has no version 2"),
        ("/", {}, 404, "nothing is at /"),
        ("/v2/repository/index", {}, 403, "does not pass /v2/repository/index"),
        ("/v2/repository/models/a/unload", {}, 403, "does not pass"),
        ("/v2/systemsharedmemory/status", {}, 403, "does not pass"),
        ("/v2/models/a/trace/setting", {}, 403, "does not pass"),
        ("/v2/models/stats", {}, 403, "does not pass"),
        ("/v2/logging", {"host": "a.localhost"}, 403, "does not pass"),
    ],
)
def test_what_goes_nowhere_is_told_why(
    http: httpx.Client, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    answer = http.post(path, headers=headers, json={})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    "target",
    [
        "/v2/models/a/../../repository/index",
        "/v2/models/a/%2e%2e/%2e%2e/repository/index",
        "//v2/models/a/infer",
        "/v2//models/a/infer",
        "/v2/models/a/infer/",
        "/v2/models/a%2finfer",
        "/V2/models/a/infer",
        "/v2/models/a/infer;x",
        "/v2/models/a/infer%00",
        "/v2/models/a\\infer",
        "http://elsewhere/v2/repository/index",
        "/v2/models/a/infer#/../../repository/index",
    ],
)
def test_no_spelling_of_a_path_gets_past_the_routes(shared: Running, target: str) -> None:
    asked = [len(replica.asked) for replica in shared.replicas]
    host, port = shared.address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        lines = (f"POST {target} HTTP/1.1", "Host: x", "Content-Length: 0", "Connection: close")
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        status = int(connection.recv(4096).split()[1])
    assert 400 <= status < 500
    assert [len(replica.asked) for replica in shared.replicas] == asked


@pytest.mark.parametrize(
    ("model", "metadata", "code", "words"),
    [
        ("nope", (), "NOT_FOUND", "Request for unknown model: 'nope' is not found"),
        ("a", (("cloche-revision", "7"),), "NOT_FOUND", "'a' is not found in revision 7"),
        ("a", (("cloche-service", "nope"),), "NOT_FOUND", "no service is called 'nope'"),
        ("", (), "INVALID_ARGUMENT", "names no model"),
        ('two\n"lines"', (), "NOT_FOUND", "Request for unknown model"),
        (
            "nope",
            (("cloche-model-of-message", '["a"]'),),
            "NOT_FOUND",
            "Request for unknown model: 'nope' is not found",
        ),
    ],
)
def test_calls_that_go_nowhere_are_told_why(
    calls: Calls, model: str, metadata: tuple[tuple[str, str], ...], code: str, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls.infer(model, *metadata)
    assert caught.value.code().name == code
    assert words in caught.value.details()


def test_a_call_under_the_host_of_no_service_is_told_so(shared: Running) -> None:
    calls = Calls(shared.address, more=[("grpc.default_authority", "nope.localhost:1")])
    try:
        with pytest.raises(grpc.RpcError) as caught:
            calls.infer("a")
        assert caught.value.code().name == "NOT_FOUND"
        assert "no service is called 'nope'" in caught.value.details()
    finally:
        calls.channel.close()


def test_calls_that_change_the_server_do_not_pass(shared: Running, calls: Calls) -> None:
    request = service_pb2.RepositoryModelUnloadRequest(model_name="a")
    for metadata in ((), (("cloche-service", "a"),)):
        with pytest.raises(grpc.RpcError) as caught:
            calls.stub.RepositoryModelUnload(request, metadata=metadata, timeout=20)
        assert caught.value.code().name == "PERMISSION_DENIED"
        assert "does not pass RepositoryModelUnload" in caught.value.details()
    assert not [each for each in shared.replicas if "RepositoryModelUnload" in each.asked]
    other = calls.channel.unary_unary("/other.Service/Call")
    with pytest.raises(grpc.RpcError) as caught:
        other(b"", timeout=20)
    assert caught.value.code().name == "UNIMPLEMENTED"


def test_compressed_calls_need_the_service_named(shared: Running) -> None:
    calls = Calls(shared.address, compression=grpc.Compression.Gzip)
    try:
        with pytest.raises(grpc.RpcError) as caught:
            calls.infer("a", size=9999)
        assert caught.value.code().name == "INVALID_ARGUMENT"
        assert "metadata cloche-service or the host NAME.localhost" in caught.value.details()
        assert calls.infer("a", ("cloche-service", "a"), size=9999)[0].model_name == "a1"
    finally:
        calls.channel.close()


# ── limits ────────────────────────────────────────────────────────────────────────────────────


def test_requests_over_the_limit_are_refused_in_every_form(
    http: httpx.Client, calls: Calls
) -> None:
    allowed, too_much = bytes(4 * MIB), bytes(4 * MIB + 1)
    assert http.post("/v2/models/a/infer", content=allowed).json()["size"] == len(allowed)
    in_chunks = iter([allowed[:MIB]] * 3)
    assert http.post("/v2/models/a/infer", content=in_chunks).json()["size"] == 3 * MIB
    for content in (too_much, iter([too_much[:MIB]] * 5)):
        try:
            answer = http.post("/v2/models/a/infer", content=content)
        except httpx.WriteError:
            continue  # the gateway had answered and closed before all was sent
        assert answer.status_code == 413
        assert "gateway.max_request_bytes" in answer.json()["error"]
    assert calls.infer("a", size=4 * MIB - 4096)[0].model_name == "a1"
    for metadata in ((), (("cloche-service", "a"),)):
        with pytest.raises(grpc.RpcError) as caught:
            calls.infer("a", *metadata, size=len(too_much))
        assert caught.value.code().name == "RESOURCE_EXHAUSTED"
        assert str(4 * MIB) in caught.value.details()


def test_64_mb_pass_by_name_in_both_protocols(gateway: Running) -> None:
    gateway.serve("a", (100, gateway.replica("a1")))
    size = 64 * 10**6
    answer = httpx.post(f"{gateway.url}/v2/models/a/infer", content=bytes(size), timeout=60)
    assert answer.json()["size"] == size
    calls = Calls(gateway.address)
    try:
        assert int(calls.infer("a", size=size)[0].id) > size
    finally:
        calls.channel.close()


def test_a_replica_that_is_slow_or_breaks_off_is_told_apart(
    shared: Running, http: httpx.Client
) -> None:
    replica = shared.replicas[0]
    replica.gate.clear()
    try:
        answer = http.post("/v2/models/a/generate", json={})
    finally:
        replica.gate.set()
    assert answer.status_code == 504
    assert "gateway.request_timeout" in answer.json()["error"]
    before = len(replica.asked)
    answer = http.post("/v2/models/a/config", json={})
    assert answer.status_code in {502, 503}
    assert "may have run" in answer.json()["error"]
    # It may have run, so it was not tried again.
    assert replica.asked[before:] == ["POST /v2/models/a/config"]
