"""Names of any length and any letters, through a real Envoy, over HTTP and gRPC."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from running_gateway import Calls, Running, installed, running, service

from cloche.targets.local.envoy.services import GatewayState
from fixtures.local import until

NAMES = [
    "a", "x" * 38, "x" * 39, "x" * 63, "My.Model_v1.2", "50%off", "模型 é", "a b+c,d;e@f:g",
    "y" * 255, 'quote"back\\slash', "<tag>&amp", "generate_stream", "infer", "sp'ace~(1)!*",
    "a/b", "a?b#c", "[regex]+.*", "..",
]  # fmt: skip
PASS = ("/infer", "", "/ready", "/ready?x=1", "/versions/1/infer", "/generate_stream", "/stats")
REFUSED = ("/versions/2/infer", "/load", "/infer/", "/ready/x", "//infer", "/../a/infer", "-/infer")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service per name, all with the same replica."""
    with running(tmp_path_factory.mktemp("named"), installed()) as gateway:
        replica = gateway.replica("answer")
        services = [
            service(f"s{number}", (100, replica), models=(name,))
            for number, name in enumerate(NAMES)
        ]
        long = service("z" * 63, (100, replica))
        numbered = dataclasses.replace(service("numbered", (100, replica)), numbered=True)
        assert gateway.gateway.apply(GatewayState((*services, long, numbered))).refused == {}
        until(lambda: all(host.healthy for host in gateway.gateway._hosts()))
        yield gateway
        assert gateway.log() == ""


@pytest.mark.parametrize("name", [*NAMES, "z" * 63])
def test_every_name_answers_at_exactly_its_paths(named: Running, name: str) -> None:
    with httpx.Client(timeout=20) as client:
        for rest in (*PASS, *REFUSED):
            target = f"/v2/models/{quote(name, safe='')}{rest}".encode()
            request = client.build_request("GET", named.url, extensions={"target": target})
            answer = client.send(request)
            if rest in PASS:
                assert (answer.status_code, answer.json()["label"]) == (200, "answer"), rest
            else:
                assert answer.status_code in {403, 404}, rest


@pytest.mark.parametrize("name", [*NAMES, "z" * 63])
def test_every_name_is_read_from_a_message(named: Running, name: str) -> None:
    calls = Calls(named.address)
    try:
        assert calls.infer(name)[0].model_name == "answer"
    finally:
        calls.channel.close()


def test_the_host_of_the_longest_name(named: Running) -> None:
    path, host = f"{named.url}/v2/models/{'z' * 63}/infer", f"{'z' * 63}.localhost"
    assert httpx.post(path, headers={"host": host}, json={}).status_code == 200


@pytest.mark.parametrize(
    ("version", "status"), [("1", 200), ("30", 200), ("0", 404), ("1x", 404), ("", 404)]
)
def test_versions_of_a_repository_of_its_own(named: Running, version: str, status: int) -> None:
    path = f"{named.url}/v2/models/numbered/versions/{version}/infer"
    assert httpx.post(path, json={}).status_code == status


def test_many_services_are_served(tmp_path: Path) -> None:
    with running(tmp_path, installed()) as gateway:
        replica = gateway.replica("one")
        names = [f"{number:03}-{'n' * 59}" for number in range(60)]
        state = GatewayState(tuple(service(name, (100, replica)) for name in names))
        applied = gateway.gateway.apply(state)
        assert (applied.seen, applied.refused) == (True, {})
        assert httpx.post(f"{gateway.url}/v2/models/{names[-1]}/infer", json={}).status_code == 200
