"""Real replicas behind a real gateway while processes are killed, ours among them."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from cloche import artifacts, composition
from cloche.artifacts import ReplicaRange
from cloche.errors import ClocheError
from cloche.servers.triton import process
from cloche.targets import Desired, Placement, Replica, ReplicaPhase
from cloche.targets.local import ports, processes
from cloche.targets.local.lifecycle import Policy
from cloche.targets.local.target import LocalTarget
from fixtures.asking import Load, ask
from fixtures.frozen import frozen
from fixtures.local import CONFIGURATION, LocalHome, is_up, until

MakeTarget = Callable[..., LocalTarget]
GATEWAYS = ["gateway", "gateway-2"]
QUICK = Policy(first_delay=0.1, check_every=0.2, drain_limit=10.0)

OWNER = """
import sys
import threading
from pathlib import Path
from cloche import artifacts, composition
from cloche.settings import Settings
from cloche.store import Store
from cloche.targets import Desired, Placement
from cloche.targets.local.target import LocalTarget

home, port, placement = Path(sys.argv[1]), int(sys.argv[2]), sys.stdin.read()
target = LocalTarget(
    Settings(home=home, gateway_port=port), Store(home / "store", 2**30), composition.server()
)
target.start(("demo",))
target.apply(Desired("demo", (artifacts.decode(Placement, placement),), {1: 100}))
sys.stdin.close()
threading.Event().wait()
"""
"""Owns a target for as long as it lives."""


@dataclass
class Owner:
    """Another process that owns the target of a home, as a control plane does."""

    home: LocalHome
    desired: Desired

    def start(self) -> subprocess.Popen[bytes]:
        settings = self.home.settings
        argv = [sys.executable, "-c", OWNER, str(settings.home), str(settings.gateway_port)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(artifacts.encode(self.desired.placements[0]))
        process.stdin.close()
        return process

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def desired(local_home: LocalHome) -> Desired:
    """Two replicas that have all the traffic."""
    replicas = ReplicaRange.exactly(2)
    placement = Placement("demo", 1, local_home.repository("demo"), replicas, 120.0)
    return Desired("demo", (placement,), {1: 100})


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    zombies = [
        one.pid for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE
    ]
    assert zombies == []


def replicas(target: LocalTarget) -> dict[str, Replica]:
    return {one.id: one for one in target.replicas()}


def all_ready(target: LocalTarget, count: int = 2) -> bool:
    phases = [one.phase for one in target.replicas()]
    return target.gateway().ready and phases == [ReplicaPhase.READY] * count


def served(target: LocalTarget) -> bool:
    """Return whether gateway and replicas are ready, and the traffic goes to them."""
    return all_ready(target) and dict(target.observe("demo").split) == {1: 100}


def serve(target: LocalTarget, desired: Desired) -> None:
    target.start(("demo",))
    target.apply(replace(desired, split={}))
    until(lambda: all_ready(target), 60)
    target.apply(desired)
    until(lambda: served(target))


def url(home: LocalHome) -> str:
    return f"http://127.0.0.1:{home.settings.gateway_port}"


def kill(pid: int | None, number: signal.Signals = signal.SIGKILL) -> int:
    assert pid is not None
    os.kill(pid, number)
    return pid


def restarted(target: LocalTarget, index: int, former: int) -> bool:
    """Return whether a process of the gateway is ready again."""
    process = target.gateway().processes[index]
    return process.phase is ReplicaPhase.READY and process.pid not in {former, None}


def leaders(home: LocalHome) -> list[str]:
    return sorted(one.marker.name for one in processes.find(home.settings.home) if one.leads)


def test_a_replica_killed_under_load_comes_back_and_costs_what_it_had(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    target = local_target(policy=QUICK)
    serve(target, desired)
    stubs = psutil.Process(replicas(target)["demo-r1-0"].pid).children(recursive=True)
    assert stubs
    with Load(lambda: ask(url(local_home), "demo", 0.02)) as load:
        victim = kill(replicas(target)["demo-r1-0"].pid)
        until(lambda: replicas(target)["demo-r1-0"].pid not in {victim, None})
        until(lambda: served(target))
        load.more()
    assert len(load.lost) <= 4, "more than one request of each client was lost"
    assert all("the request may have run" in said for said in load.lost), load.lost
    assert not any(is_up(stub.pid) for stub in stubs)
    seen = replicas(target)
    assert (seen["demo-r1-0"].restarts, seen["demo-r1-1"].restarts) == (1, 0)


def test_replicas_outlive_the_process_that_owns_them_and_are_adopted(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    owner = Owner(local_home, desired)
    process = owner.start()
    until(lambda: ask(url(local_home), "demo").status == 200, 60)
    until(lambda: len(leaders(local_home)) == 4)
    before = {(one.pid, one.started) for one in processes.find(local_home.settings.home)}
    with Load(lambda: ask(url(local_home), "demo", 0.02)) as load:
        owner.kill(process)
        assert leaders(local_home) == ["demo-r1-0", "demo-r1-1", *GATEWAYS]
        target = local_target(policy=QUICK)
        target.start(("demo",))
        until(lambda: served(target))
        target.apply(desired)
    assert load.statuses == {200}
    assert {(one.pid, one.started) for one in processes.find(local_home.settings.home)} == before
    victim = kill(replicas(target)["demo-r1-1"].pid)
    until(lambda: replicas(target)["demo-r1-1"].pid not in {victim, None})
    until(lambda: served(target))
    with pytest.raises(ClocheError, match="Another process keeps"):
        local_target().start(("demo",))


def test_an_owner_killed_at_any_moment_leaves_no_orphan_and_no_double(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    owner = Owner(local_home, desired)
    chance = random.Random(3)
    for _ in range(4):
        process = owner.start()
        time.sleep(chance.uniform(0.2, 1.2))  # the moment is what is tried, not waited for
        owner.kill(process)
        names = leaders(local_home)
        assert len(names) == len(set(names))
    target = local_target(policy=QUICK)
    serve(target, desired)
    assert leaders(local_home) == ["demo-r1-0", "demo-r1-1", *GATEWAYS]
    until(lambda: ask(url(local_home), "demo").status == 200)
    target.close()
    # `cloche down` with no control plane: taken over and ended, with nothing started.
    last = local_target(policy=QUICK)
    assert set(replicas(last)) == {"demo-r1-0", "demo-r1-1"}
    last.down()
    assert leaders(local_home) == []
    with pytest.raises(ClocheError, match="being ended"):
        last.apply(desired)


def test_down_leaves_nothing(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    home = local_home.settings.home
    serving = home / "run" / "revisions" / "demo-r1" / "serving"
    target = local_target(policy=QUICK)
    serve(target, desired)
    bound = [
        Path(str(address).removeprefix("unix:"))
        for one in target.replicas()
        for address in (one.url, one.grpc)
    ]
    assert all(path.is_socket() for path in bound)
    kill(replicas(target)["demo-r1-0"].pid)  # it cannot clean up after itself
    target.down()
    assert processes.find(home) == []
    assert not (home / "run").exists()
    left = [process.clean(serving, name) for name in ("demo-r1-0", "demo-r1-1")]
    assert left == [0, 0]
    assert not any(path.exists() or path.parent.exists() for path in bound)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", local_home.settings.gateway_port)) != 0


def test_a_repository_that_triton_refuses_fails_with_its_words(
    local_home: LocalHome, local_target: MakeTarget
) -> None:
    target = local_target(policy=QUICK)
    target.start(())
    broken = CONFIGURATION.replace("TYPE_FP32", "TYPE_FP33")
    repository = local_home.repository("demo", config=broken)
    placement = Placement("demo", 1, repository, ReplicaRange.exactly(1), 120.0)
    target.apply(Desired("demo", (placement,)))
    until(lambda: replicas(target)["demo-r1-0"].phase is ReplicaPhase.FAILED, 60)
    failed = replicas(target)["demo-r1-0"]
    assert failed.detail == "It ended with exit code 1. That was the third time in a row."
    assert any("TYPE_FP33" in line for line in failed.last_log)


def test_a_gateway_that_is_killed_comes_back_with_its_routes(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    target = local_target(policy=QUICK)
    serve(target, desired)
    before = {one.id: one.pid for one in target.replicas()}
    killed = {kill(each.pid) for each in target.gateway().processes}
    until(lambda: killed.isdisjoint(each.pid for each in target.gateway().processes))
    until(lambda: served(target))
    assert ask(url(local_home), "demo").status == 200
    assert {one.id: one.pid for one in target.replicas()} == before


def test_while_one_process_of_the_gateway_runs_nothing_is_refused(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    target = local_target(policy=QUICK)
    serve(target, desired)
    with Load(lambda: ask(url(local_home), "demo", 0.02)) as load:  # each on a new connection
        for index in range(2):
            victim = kill(target.gateway().processes[index].pid)
            until(lambda: restarted(target, index, victim))  # noqa: B023
            load.more()
    # What the process had, and connections that it had not accepted yet: of each client twice.
    assert len(load.lost) <= 2 * 2 * 4, load.lost


def test_a_replica_that_hangs_is_out_of_the_routes_until_it_answers(
    local_home: LocalHome, local_target: MakeTarget, desired: Desired
) -> None:
    target = local_target(policy=QUICK)
    serve(target, desired)
    pid = replicas(target)["demo-r1-0"].pid
    assert pid is not None
    with frozen(pid):
        until(lambda: replicas(target)["demo-r1-0"].phase is ReplicaPhase.UNREADY)
        assert "health check" in (replicas(target)["demo-r1-0"].detail or "")
        until(lambda: all(ask(url(local_home), "demo", limit=3.0).status == 200 for _ in range(10)))
    until(lambda: served(target))
    assert replicas(target)["demo-r1-0"].restarts == 0


def test_a_taken_gateway_port_is_said_before_anything_starts(
    local_home: LocalHome, local_target: MakeTarget
) -> None:
    with socket.create_server(("127.0.0.1", local_home.settings.gateway_port)):
        target = local_target()
        with pytest.raises(ClocheError, match=rf"is taken by \S+ \(pid {os.getpid()}\)"):
            target.start(())
    assert leaders(local_home) == []
    target = local_target()
    target.start(())
    until(lambda: target.gateway().ready)


def test_a_gateway_with_another_port_than_it_is_to_have_is_replaced(
    local_home: LocalHome, local_target: MakeTarget
) -> None:
    first = local_target()
    first.start(())
    until(lambda: first.gateway().ready)
    first.close()
    settings = replace(local_home.settings, gateway_port=ports.choose(1)[0])
    second = LocalTarget(settings, local_home.store, composition.server())
    try:
        second.start(())
        until(lambda: second.gateway().ready)
        assert second.gateway().http.endswith(f":{settings.gateway_port}")
        assert leaders(local_home) == GATEWAYS
    finally:
        second.close()
