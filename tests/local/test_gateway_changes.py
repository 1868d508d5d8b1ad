"""The gateway while what it serves changes: no request is lost, and it goes on by itself."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from running_gateway import Calls, Running, installed, label, running, service

from cloche.errors import ClocheError
from cloche.targets.local.envoy import sockets
from cloche.targets.local.envoy.services import GatewayState, Route
from cloche.targets.local.ports import choose
from fixtures.local import until


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, installed()) as found:
        yield found


class Load:
    """Requests one after the other from several threads, until told to stop."""

    def __init__(self, url: str, threads: int = 3) -> None:
        self.answers: list[tuple[int, str]] = []
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.is_set():
                answer = client.post(self._url, json={})
                said = answer.json().get("label", answer.text)
                self.answers.append((answer.status_code, said))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, label: str, count: int = 20) -> None:
        start = len(self.answers)
        until(lambda: self.answers[start:].count((200, label)) >= count)


def test_no_request_is_lost_when_revisions_change(gateway: Running) -> None:
    one, two = gateway.replica("a1"), gateway.replica("a2")
    gateway.serve("a", (100, one))
    with Load(f"{gateway.url}/v2/models/a/infer") as load:
        load.wait_for("a1")
        gateway.serve("a", (50, one), (50, two))
        load.wait_for("a2")
        gateway.serve("a", (0, one), (100, two))
        load.wait_for("a2")
        assert gateway.gateway.seen_routes() == (Route("a", 1, 0), Route("a", 2, 100))
        gateway.gateway.apply(GatewayState((service("a", (0, []), (100, two)),)))
        gateway.gateway.apply(GatewayState((service("a", (100, one)),)))
        load.wait_for("a1")
        until(lambda: gateway.gateway.sweep() == ())
    assert set(load.answers) == {(200, "a1"), (200, "a2")}


def test_a_draining_replica_finishes_what_it_has(gateway: Running) -> None:
    one, two = gateway.replica("first"), gateway.replica("second")
    gateway.serve("a", (100, one))
    one.gate.clear()
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        answers: list[httpx.Response] = []
        held = threading.Thread(
            target=lambda: answers.append(client.post("/v2/models/a/generate", json={}))
        )
        held.start()
        assert one.waiting.acquire(timeout=20)
        with Load(f"{gateway.url}/v2/models/a/infer") as load:
            load.wait_for("first")
            gateway.serve("a", (100, two))
            until(lambda: load.answers[-10:] == [(200, "second")] * 10)
        assert not gateway.gateway.is_done_with(one.endpoint)
        one.gate.set()
        held.join()
        assert answers[0].json()["label"] == "first"
    assert {status for status, _ in load.answers} == {200}
    until(lambda: gateway.gateway.is_done_with(one.endpoint))


def test_a_dead_replica_costs_no_request_while_another_lives(gateway: Running) -> None:
    one, two = gateway.replica("one"), gateway.replica("two")
    gateway.serve("a", (100, [one, two]))
    url = f"{gateway.url}/v2/models/a/infer"
    with httpx.Client() as client:
        assert client.post(url, json={}).status_code == 200
        one.stop()
        gateway.replicas.remove(one)
        # Connections are refused at once, long before its health check fails.
        assert {client.post(url, json={}).json()["label"] for _ in range(30)} == {"two"}


def test_routes_wait_for_a_healthy_replica_and_others_do_not_wait_with_them(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloche.targets.local.envoy.publishing.WAIT_SECONDS", 0.5)
    old, new, other = gateway.replica("old"), gateway.replica("new"), gateway.replica("other")
    gateway.serve("a", (100, old))
    new.healthy = False
    wanted = GatewayState((service("a", (0, old), (100, new)), service("b", (100, other))))
    applied = gateway.gateway.apply(wanted)
    assert (applied.seen, applied.held) == (True, ("a",))
    post = f"{gateway.url}/v2/models/{{}}/infer".format
    assert httpx.post(post("a"), json={}).json()["label"] == "old"
    assert httpx.post(post("b"), json={}).json()["label"] == "other"
    new.healthy = True
    until(lambda: gateway.gateway.apply(wanted).held == ())
    assert httpx.post(post("a"), json={}).json()["label"] == "new"


def test_routes_to_no_replica_are_held_at_once(gateway: Running) -> None:
    old, other = gateway.replica("old"), gateway.replica("other")
    gateway.serve("a", (100, old))
    wanted = GatewayState((service("a", (0, old), (100, [])), service("b", (100, other))))
    before = time.monotonic()
    applied = gateway.gateway.apply(wanted)
    assert time.monotonic() - before < 2.5, "it waited for what cannot come"
    assert (applied.seen, applied.held) == (True, ("a",))
    post = f"{gateway.url}/v2/models/{{}}/infer".format
    assert httpx.post(post("a"), json={}).json()["label"] == "old"
    until(lambda: httpx.post(post("b"), json={}).status_code == 200)


def test_more_services_than_the_user_has_inotify_instances(gateway: Running) -> None:
    replica = gateway.replica("one")
    names = [f"service-{number}" for number in range(150)]
    services = tuple(service(name, (100, replica)) for name in names)
    until(lambda: gateway.gateway.apply(GatewayState(services)).seen)
    for name in (names[0], names[-1]):
        url = f"{gateway.url}/v2/models/{name}/infer"
        until(lambda url=url: httpx.post(url, json={}).status_code == 200)
    assert gateway.log() == ""


def test_no_healthy_replica_is_said(gateway: Running) -> None:
    gateway.serve("a", (100, []))
    answer = httpx.post(f"{gateway.url}/v2/models/a/infer", json={})
    assert answer.status_code == 503
    assert "no replica of this service is healthy" in answer.json()["error"]
    calls = Calls(gateway.address)
    try:
        with pytest.raises(grpc.RpcError) as caught:
            calls.infer("a")
    finally:
        calls.channel.close()
    assert caught.value.code().name == "UNAVAILABLE"
    assert "no replica of this service is healthy" in caught.value.details()


def test_a_restarted_gateway_serves_what_it_served(gateway: Running) -> None:
    gateway.serve("a", (100, gateway.replica("a1")))
    for process in gateway.processes:
        process.kill()
        process.wait()
    assert not any(process.ready() for process in gateway.gateway.processes)
    gateway.start()
    until(lambda: httpx.post(f"{gateway.url}/v2/models/a/infer", json={}).status_code == 200)
    assert gateway.gateway.seen_routes() == (Route("a", 1, 100),)


def test_what_one_process_had_the_others_serve(gateway: Running) -> None:
    gateway.serve("a", (100, gateway.replica("a1")))
    killed = gateway.processes[0]
    killed.kill()
    killed.wait()
    for _ in range(20):  # each on a new connection
        assert httpx.post(f"{gateway.url}/v2/models/a/infer", json={}).status_code == 200
    # What changes meanwhile, the one that comes back has as well.
    gateway.serve("a", (100, gateway.replica("a2")))
    assert gateway.gateway.seen_routes() == (Route("a", 1, 100),)
    gateway.processes[0] = gateway.started(gateway.gateway.processes[0])
    assert gateway.gateway.seen_routes() == (Route("a", 1, 100),)
    gateway.processes[1].kill()
    gateway.processes[1].wait()
    until(lambda: label(gateway, "a") == "a2")


def test_one_process_takes_all_connections_until_it_dies(gateway: Running) -> None:
    gateway.serve("a", (100, gateway.replica("a1")))
    for process, started in zip(gateway.gateway.processes, gateway.processes, strict=True):
        process.prefer_one(started.pid)
    for _ in range(20):  # each on a new connection
        assert label(gateway, "a") == "a1"
    asked = {pid for pid, counts in gateway.gateway.counts().items() if counts}
    assert len(asked) == 1
    for process in gateway.processes:
        if process.pid in asked:
            process.kill()
            process.wait()
    for _ in range(20):
        assert label(gateway, "a") == "a1"


def test_two_homes_that_start_at_once_never_share_a_port(gateway: Running) -> None:
    port = choose(1)[0]
    first, second = (sockets.PortClaim("127.0.0.1", port) for _ in range(2))
    descriptor = first.take()
    assert first.take() == descriptor
    with pytest.raises(ClocheError) as caught:
        second.take()
    assert (caught.value.code, caught.value.retriable) == ("gateway.port_taken", True)
    # Who listens keeps the claim, though who started it is gone.
    with subprocess.Popen(["sleep", "60"], pass_fds=[descriptor]) as listening:
        first.close()
        with pytest.raises(ClocheError):
            second.take()
        listening.kill()
    second.take()
    second.close()


def test_two_gateways_never_share_a_port(gateway: Running, tmp_path: Path) -> None:
    with pytest.raises(ClocheError) as caught:
        sockets.PortClaim("127.0.0.1", gateway.gateway.settings.gateway_port).take()
    assert any(f"envoy (pid {process.pid})" in caught.value.what for process in gateway.processes)


def test_the_admin_interface_is_the_users_own(gateway: Running) -> None:
    found = [path for path in gateway.gateway.folder.iterdir() if path.is_socket()]
    assert [path.stat().st_mode & 0o777 for path in found] == [0o600, 0o600]


def test_a_clean_log(gateway: Running) -> None:
    gateway.serve("a", (100, gateway.replica("a1")))
    httpx.post(f"{gateway.url}/v2/models/a/infer", json={})
    assert gateway.log() == ""
