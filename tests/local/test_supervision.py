"""Real replicas behind a real gateway while processes are killed, ours among them."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psutil
import pytest

from cloche import artifacts
from cloche.errors import ClocheError
from cloche.servers import triton
from cloche.targets.local import processes
from cloche.targets.local.lifecycle import Policy
from cloche.targets.local.target import LocalTarget
from cloche.targets.target import Placement, Replica, ReplicaPhase, Route
from fixtures_local import CONFIGURATION, LocalHome, until

MakeTarget = Callable[..., LocalTarget]
QUICK = Policy(first_delay=0.1, check_every=0.2, drain_limit=10.0)
ROUTE = Route("demo", 1, 100)

OWNER = """
import sys
from pathlib import Path
from cloche import artifacts
from cloche.settings import Settings
from cloche.store import Store
from cloche.targets.local.target import LocalTarget
from cloche.targets.target import Placement, Route

home, port, placement = Path(sys.argv[1]), int(sys.argv[2]), sys.stdin.read()
target = LocalTarget(Settings(home=home, gateway_port=port), Store(home / "store", 2**30))
target.start()
target.place(artifacts.decode(Placement, placement))
target.route([Route("demo", 1, 100)])
print("told", flush=True)
sys.stdin.close()
import threading
threading.Event().wait()
"""
"""Owns a target for as long as it lives."""


@dataclass
class Owner:
    """Another process that owns the target of a home, as a control plane does."""

    home: LocalHome
    placement: Placement

    def start(self) -> subprocess.Popen[bytes]:
        settings = self.home.settings
        argv = [sys.executable, "-c", OWNER, str(settings.home), str(settings.gateway_port)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(artifacts.encode(self.placement))
        process.stdin.close()
        return process

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def placement(local_home: LocalHome) -> Placement:
    return Placement("demo", 1, local_home.repository("demo"), 2)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    zombies = [
        one.pid for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE
    ]
    assert zombies == []


def replicas(target: LocalTarget) -> dict[str, Replica]:
    return {one.id: one for one in target.observe().replicas}


def all_ready(target: LocalTarget, count: int = 2) -> bool:
    seen = target.observe()
    phases = [one.phase for one in seen.replicas]
    return seen.gateway.ready and phases == [ReplicaPhase.READY] * count


def serve(target: LocalTarget, placement: Placement) -> None:
    target.start()
    target.place(placement)
    until(lambda: all_ready(target), 60)
    target.route([ROUTE])
    until(lambda: target.observe().routes == (ROUTE,))


def ask(home: LocalHome, x: float = 100.0, *, limit: float = 30.0) -> int:
    """Return the status of one inference through the gateway, 0 when it does not answer."""
    return answer(home, x, limit=limit)[0]


def answer(home: LocalHome, x: float, *, limit: float = 30.0) -> tuple[int, str]:
    """Return the status of one inference, and what the answer says."""
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [x]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{home.settings.gateway_port}/v2/models/demo/infer",
        data=json.dumps({"inputs": [tensor]}).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=limit) as response:
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Load:
    """Requests that go on until the block ends."""

    def __init__(self, home: LocalHome, threads: int = 4) -> None:
        self.statuses: list[int] = []
        self.lost: list[str] = []
        """What the answers that are not 200 say."""
        self._home = home
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._ended.is_set():
            status, said = answer(self._home, 0.02)
            self.statuses.append(status)
            if status != 200:
                self.lost.append(said)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.statuses) > 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> int:
    assert pid is not None
    os.kill(pid, number)
    return pid


def leaders(home: LocalHome) -> list[str]:
    return sorted(one.marker.name for one in processes.find(home.settings.home) if one.leads)


def test_a_replica_killed_under_load_comes_back_and_costs_what_it_had(
    local_home: LocalHome, local_target: MakeTarget, placement: Placement
) -> None:
    target = local_target(policy=QUICK)
    serve(target, placement)
    stubs = psutil.Process(replicas(target)["demo-r1-0"].pid).children(recursive=True)
    assert stubs
    with Load(local_home) as load:
        victim = kill(replicas(target)["demo-r1-0"].pid)
        until(lambda: replicas(target)["demo-r1-0"].pid not in {victim, None})
        until(lambda: all_ready(target))
        answered = len(load.statuses)
        until(lambda: len(load.statuses) > answered + 20)
    assert len(load.lost) <= 4, "more than one request of each client was lost"
    assert all("the request may have run" in said for said in load.lost), load.lost
    assert not any(stub.is_running() and stub.status() != "zombie" for stub in stubs)
    seen = replicas(target)
    assert (seen["demo-r1-0"].restarts, seen["demo-r1-1"].restarts) == (1, 0)


def test_replicas_outlive_the_process_that_owns_them_and_are_adopted(
    local_home: LocalHome, local_target: MakeTarget, placement: Placement
) -> None:
    owner = Owner(local_home, placement)
    process = owner.start()
    until(lambda: ask(local_home) == 200, 60)
    until(lambda: len(leaders(local_home)) == 3)
    before = {(one.pid, one.started) for one in processes.find(local_home.settings.home)}
    with Load(local_home) as load:
        owner.kill(process)
        assert leaders(local_home) == ["demo-r1-0", "demo-r1-1", "gateway"]
        target = local_target(policy=QUICK)
        target.start()
        until(lambda: all_ready(target) and target.observe().routes == (ROUTE,))
        target.place(placement)
    assert set(load.statuses) == {200}
    assert {(one.pid, one.started) for one in processes.find(local_home.settings.home)} == before
    victim = kill(replicas(target)["demo-r1-1"].pid)
    until(lambda: replicas(target)["demo-r1-1"].pid not in {victim, None})
    until(lambda: all_ready(target))
    with pytest.raises(ClocheError, match="Another process keeps"):
        local_target().start()


def test_an_owner_killed_at_any_moment_leaves_no_orphan_and_no_double(
    local_home: LocalHome, local_target: MakeTarget, placement: Placement
) -> None:
    owner = Owner(local_home, placement)
    chance = random.Random(3)
    for _ in range(4):
        process = owner.start()
        time.sleep(chance.uniform(0.2, 1.2))  # the moment is what is tried, not waited for
        owner.kill(process)
        names = leaders(local_home)
        assert len(names) == len(set(names))
    target = local_target(policy=QUICK)
    serve(target, placement)
    assert leaders(local_home) == ["demo-r1-0", "demo-r1-1", "gateway"]
    until(lambda: ask(local_home) == 200)
    target.close()
    # `cloche down` with no control plane: taken over and ended, with nothing started.
    last = local_target(policy=QUICK)
    assert {one.id for one in last.observe().replicas} == {"demo-r1-0", "demo-r1-1"}
    last.down()
    assert leaders(local_home) == []
    with pytest.raises(ClocheError, match="being ended"):
        last.place(placement)


def test_down_leaves_nothing(
    local_home: LocalHome, local_target: MakeTarget, placement: Placement
) -> None:
    home = local_home.settings.home
    serving = home / "run" / "revisions" / "demo-r1" / "serving"
    target = local_target(policy=QUICK)
    serve(target, placement)
    ports = [
        int(str(address).rpartition(":")[2])
        for one in target.observe().replicas
        for address in (one.url, one.grpc)
    ]
    kill(replicas(target)["demo-r1-0"].pid)  # it cannot clean up after itself
    target.down()
    assert processes.find(home) == []
    assert not (home / "run").exists()
    left = [triton.clean_shared_memory(serving, name) for name in ("demo-r1-0", "demo-r1-1")]
    assert left == [0, 0]
    for port in [*ports, local_home.settings.gateway_port]:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_repository_that_triton_refuses_fails_with_its_words(
    local_home: LocalHome, local_target: MakeTarget
) -> None:
    target = local_target(policy=QUICK)
    target.start()
    broken = CONFIGURATION.replace("TYPE_FP32", "TYPE_FP33")
    repository = local_home.repository("demo", config=broken)
    target.place(Placement("demo", 1, repository, 1))
    until(lambda: replicas(target)["demo-r1-0"].phase is ReplicaPhase.FAILED, 60)
    failed = replicas(target)["demo-r1-0"]
    assert failed.detail == "It ended with exit code 1. That was the third time in a row."
    assert any("TYPE_FP33" in line for line in failed.last_log)


def test_a_gateway_that_is_killed_comes_back_with_its_routes(
    local_home: LocalHome, local_target: MakeTarget, placement: Placement
) -> None:
    target = local_target(policy=QUICK)
    serve(target, replace(placement, replicas=2))
    before = {one.id: one.pid for one in target.observe().replicas}
    victim = kill(target.observe().gateway.pid)
    until(lambda: target.observe().gateway.pid not in {victim, None})
    until(lambda: target.observe().gateway.ready and target.observe().routes == (ROUTE,))
    assert ask(local_home) == 200
    assert {one.id: one.pid for one in target.observe().replicas} == before


def test_a_replica_that_hangs_is_out_of_the_routes_until_it_answers(
    local_home: LocalHome, local_target: MakeTarget, placement: Placement
) -> None:
    target = local_target(policy=QUICK)
    serve(target, placement)
    pid = kill(replicas(target)["demo-r1-0"].pid, signal.SIGSTOP)
    until(lambda: replicas(target)["demo-r1-0"].phase is ReplicaPhase.UNREADY)
    assert "health check" in (replicas(target)["demo-r1-0"].detail or "")
    until(lambda: all(ask(local_home, limit=3.0) == 200 for _ in range(10)))
    kill(pid, signal.SIGCONT)
    until(lambda: all_ready(target))
    assert replicas(target)["demo-r1-0"].restarts == 0


def test_a_taken_gateway_port_is_said_before_anything_starts(
    local_home: LocalHome, local_target: MakeTarget
) -> None:
    with socket.create_server(("127.0.0.1", local_home.settings.gateway_port)):
        target = local_target()
        with pytest.raises(ClocheError, match=rf"is taken by \S+ \(pid {os.getpid()}\)"):
            target.start()
    assert leaders(local_home) == []
    target = local_target()
    target.start()
    until(lambda: target.observe().gateway.ready)


def test_a_gateway_with_another_port_than_it_is_to_have_is_replaced(
    local_home: LocalHome, local_target: MakeTarget
) -> None:
    from cloche.targets.local import ports

    first = local_target()
    first.start()
    until(lambda: first.observe().gateway.ready)
    first.close()
    settings = replace(local_home.settings, gateway_port=ports.choose(1)[0])
    second = LocalTarget(settings, local_home.store)
    try:
        second.start()
        until(lambda: second.observe().gateway.ready)
        assert second.observe().gateway.http.endswith(f":{settings.gateway_port}")
        assert leaders(local_home) == ["gateway"]
    finally:
        second.close()
