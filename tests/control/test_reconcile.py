"""The loop over a real state and a target in memory: whole rollouts, and what may cut them off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from control_bench import Bench

from cloche import testing
from cloche.artifacts import Finding, Operated, Severity, Standing
from cloche.errors import ClocheError, UnavailableError
from cloche.targets import ReplicaPhase
from cloche.testing import deployment


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state.db")
    yield made
    made.close()


def running(bench: Bench) -> dict[str, str]:
    return {name: replica.phase.value for name, replica in bench.world.replicas.items()}


def test_a_deploy_goes_live_verified(bench: Bench) -> None:
    bench.deploy(replicas=2)
    bench.run()
    revision = bench.revision(1)
    assert revision.phase is Standing.LIVE
    assert revision.deployment.golden is not None
    assert revision.verification is not None
    assert bench.split() == {1: 100}
    assert running(bench) == {"digits-r1-0": "ready", "digits-r1-1": "ready"}
    went = [e.detail["phase"] for e in bench.events() if e.kind == "phase"]
    assert went == ["starting", "verifying", "shifting", "live"]
    assert len(bench.verifier.asked) == 1


def test_a_second_deploy_takes_over_and_the_first_is_removed_last(bench: Bench) -> None:
    bench.deploy("a")
    bench.run()
    bench.deploy("b")
    while bench.phase(2) != "live":
        assert running(bench)["digits-r1-0"] == "ready"
        bench.tick()
    bench.run()
    assert bench.phase(1) == "retired"
    assert running(bench) == {"digits-r2-0": "ready"}
    assert bench.split() == {2: 100}


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ("replica", "rollout.replica"),
        ("golden", "golden.crashed"),
        ("answer", "rollout.verification"),
        ("place", "port.none"),
        ("gateway", "rollout.timeout"),
    ],
)
def test_a_failure_leaves_what_was_live(bench: Bench, trouble: str, code: str) -> None:
    bench.deploy("a")
    bench.run()
    if trouble == "replica":
        bench.world.failing.add(("digits", 2))
    elif trouble == "golden":
        bench.verifier.broken["./b.onnx"] = ClocheError("golden.crashed", "It crashed.")
    elif trouble == "answer":
        bench.verifier.wrong.add("./b.onnx")
    elif trouble == "place":
        bench.target.refuses = ClocheError("port.none", "No port is free.")
    bench.deploy("b")
    if trouble == "gateway":
        while bench.phase(2) != "verifying":
            bench.tick()
        bench.world.gateway = False
        bench.tick(25)
        bench.world.gateway = True
    bench.run()
    failed = bench.revision(2)
    assert failed.phase is Standing.FAILED
    assert failed.failure is not None
    assert failed.failure["code"] == code
    if trouble == "replica":
        assert failed.failure["log"] == ["no such model"]
    assert bench.phase(1) == "live"
    assert running(bench) == {"digits-r1-0": "ready"}
    assert bench.split() == {1: 100}


def test_the_log_of_a_late_replica_comes_along(bench: Bench) -> None:
    bench.deploy()
    for _ in range(120):
        bench.engine.reconciler.tick()
        bench.settle()
        bench.clock.forward(1)
    failure = bench.revision(1).failure
    assert failure is not None
    assert failure["code"] == "rollout.timeout"
    assert failure["log"][:2] == ["line 0", "line 1"]


def test_what_may_pass_is_tried_again(bench: Bench) -> None:
    bench.target.refuses = UnavailableError("store.locked", "The store is locked.")
    bench.deploy()
    bench.tick(5)
    assert bench.phase(1) == "starting"
    trouble = bench.engine.reconciler.trouble("digits", 1)
    assert trouble is not None
    assert trouble.code == "store.locked"
    assert [e.kind for e in bench.events()].count("trouble") == 1
    bench.target.refuses = None
    bench.run()
    assert bench.phase(1) == "live"
    assert bench.engine.reconciler.trouble("digits", 1) is None


def test_the_later_of_two_deploys_wins(bench: Bench) -> None:
    bench.deploy("a")
    bench.tick(2)
    bench.deploy("b")
    bench.run()
    assert (bench.phase(1), bench.phase(2)) == ("superseded", "live")
    assert running(bench) == {"digits-r2-0": "ready"}


def test_scaling_places_and_removes_in_place(bench: Bench) -> None:
    bench.deploy()
    bench.run()
    bench.engine.scale("digits", 3)
    bench.run()
    assert list(running(bench)) == ["digits-r1-0", "digits-r1-1", "digits-r1-2"]
    bench.engine.scale("digits", 1)
    bench.run()
    assert list(running(bench)) == ["digits-r1-0"]
    assert len(bench.state.revisions("digits")) == 1


def test_scaling_passes_on_what_the_target_has_to_say(bench: Bench) -> None:
    bench.deploy()
    bench.run()
    assert "findings" not in bench.engine.scale("digits", 3)
    bench.world.findings = (Finding(Severity.WARNING, "x.y", "Mind this.", hint="Do that."),)
    said = bench.engine.scale("digits", 1)["findings"]
    assert [Finding(**finding) for finding in said] == list(bench.world.findings)


@pytest.mark.parametrize("ticks", range(8))
def test_deleting_at_any_moment_leaves_nothing_and_frees_the_name(bench: Bench, ticks: int) -> None:
    bench.deploy("a")
    bench.tick(ticks)
    bench.engine.delete("digits")
    bench.run()
    assert bench.state.services() == ()
    assert (running(bench), bench.world.seen) == ({}, {})
    number = bench.deploy("a")
    bench.run()
    assert bench.phase(number) == "live"


def test_a_new_control_plane_adopts_what_runs_and_routes_what_was_lost(bench: Bench) -> None:
    bench.deploy(replicas=2)
    bench.run()
    bench.reopen()
    writes = bench.world.writes
    bench.run()
    assert bench.world.writes == writes
    bench.world.told = {}
    bench.run()
    assert bench.world.writes == writes + 1
    assert bench.split() == {1: 100}


def test_what_no_service_owns_is_removed(bench: Bench) -> None:
    bench.deploy()
    bench.run()
    stored = bench.state.service("digits")
    assert stored is not None
    bench.state.delete("digits", expect=stored.version)
    bench.reopen()
    bench.run()
    assert (running(bench), bench.world.seen) == ({}, {})


def test_a_second_machine_that_knows_other_services_never_touches_them(bench: Bench) -> None:
    bench.deploy("a", service="digits")
    bench.run()
    other = testing.engine(target=bench.target)
    other.deploy(deployment("other"))
    before = running(bench)
    for _ in range(10):
        other.reconciler.tick()
        assert other.reconciler.background.wait(10)
        bench.world.advance()
    assert other.service("other")["phase"] == "live"
    assert before.items() <= running(bench).items()
    assert bench.world.seen == {"digits": {1: 100}, "other": {1: 100}}
    other.delete("other")
    for _ in range(10):
        other.reconciler.tick()
        bench.world.advance()
    assert (running(bench), bench.world.seen) == (before, {"digits": {1: 100}})


def test_trouble_with_one_service_is_no_other_services(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.deploy("a", service="digits")
    bench.deploy("a", service="other")
    bench.run()
    real = bench.state.service

    def damaged(name: str):  # type: ignore[no-untyped-def]
        if name == "digits":
            raise ClocheError("state.failed", "It cannot be read.")
        return real(name)

    monkeypatch.setattr(bench.state, "service", damaged)
    bench.deploy("b", service="other")
    bench.run()
    monkeypatch.undo()
    assert bench.revision(2, "other").phase is Standing.LIVE
    assert bench.world.seen == {"digits": {1: 100}, "other": {2: 100}}


def test_what_becomes_of_replicas_is_recorded(bench: Bench) -> None:
    bench.deploy()
    bench.run()
    bench.world.set_phase("digits-r1-0", ReplicaPhase.RESTARTING)
    bench.tick()
    bench.world.set_phase("digits-r1-0", ReplicaPhase.READY)
    bench.tick(3)
    told = [e.detail["phase"] for e in bench.events() if e.kind == "replica"]
    assert told == ["ready", "restarting", "ready"]


def test_the_thread_ticks_when_woken_and_ends_when_told(bench: Bench) -> None:
    bench.engine.reconciler.start()
    bench.deploy()
    deadline = time.monotonic() + 20
    while bench.phase(1) != "live":
        assert time.monotonic() < deadline
        bench.clock.forward(0.1)
        bench.world.advance()
        bench.engine.reconciler.wake()
        time.sleep(0.01)
    bench.engine.reconciler.stop()
    assert bench.engine.reconciler._thread is None


def test_a_defect_in_deciding_shows_in_status_and_events(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.deploy("a")
    bench.run()

    def defect(situation: object) -> None:
        raise KeyError("no such thing")

    with monkeypatch.context() as broken:
        broken.setattr("cloche.control.reconcile.decide", defect)
        bench.tick(3)
        failure = bench.engine.service("digits")["failure"]
        assert failure["code"] == "internal"
        assert "no such thing" in failure["what"]
    assert [e.detail["error"]["code"] for e in bench.events() if e.kind == "trouble"] == [
        "internal"
    ]
    bench.tick()
    assert bench.engine.service("digits")["failure"] is None


def test_one_limit_bounds_the_start_and_a_service_can_raise_it(bench: Bench) -> None:
    patient = replace(deployment(), operated=Operated(start_timeout=1000))
    bench.engine.deploy(patient)
    for _ in range(400):
        bench.engine.reconciler.tick()
        bench.settle()
        bench.clock.forward(1)
    assert bench.phase(1) == "starting"
    for _ in range(110):
        bench.engine.reconciler.tick()
        bench.clock.forward(1)
    failure = bench.revision(1).failure
    assert failure is not None
    assert "start_timeout" in failure["hint"]
