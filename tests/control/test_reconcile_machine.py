"""Anything that people, models and kill -9 may do, in any order: what must hold after each step."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from control_bench import Bench, settle
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cloche.artifacts import Phase
from cloche.errors import ClocheError, UnavailableError
from cloche.targets.target import ReplicaPhase, Route
from fixtures_control import verification

MODELS = st.sampled_from(["a", "b", "c", "wrong", "broken"])


class Killed(BaseException):
    """The control plane is killed at this call."""


class Fuse:
    """Wraps an object so that the n-th of all calls that change something kills, late or early."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self.left = calls
        self.after = after

    def around(self, subject: Any, names: list[str]) -> None:
        for name in names:
            setattr(subject, name, self._burning(getattr(subject, name)))

    def _burning(self, call: Any) -> Any:
        def run(*values: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            result = call(*values, **named)
            if self.left == 0:
                raise Killed
            return result

        return run


class Rollouts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="cloche-rollouts-"))
        self.bench = Bench(self.folder / "state.db")
        self.bench.verifier.wrong.add("./wrong.onnx")
        self.bench.verifier.broken["./broken.onnx"] = ClocheError("golden.crashed", "It crashed.")

    # ── what may happen ───────────────────────────────────────────────────────────────────────

    @rule(model=MODELS, replicas=st.integers(1, 2))
    def deploy(self, model: str, replicas: int) -> None:
        record = self.bench.state.service("digits")
        if record is not None and record.deleting:
            with pytest.raises(UnavailableError, match="being deleted"):
                self.bench.deploy(model, replicas)
        else:
            self.bench.deploy(model, replicas)

    @rule(replicas=st.integers(1, 3))
    def scale(self, replicas: int) -> None:
        if self.bench.state.service("digits"):
            self.bench.state.operate("digits", {"replicas": replicas}, by="me")

    @rule()
    def delete(self) -> None:
        if self.bench.state.service("digits"):
            self.bench.state.mark_deleting("digits", by="me")

    @rule(times=st.integers(1, 4))
    def tick(self, times: int) -> None:
        self.bench.tick(times)

    @rule(calls=st.integers(1, 6), after=st.booleans())
    def tick_is_killed(self, calls: int, after: bool) -> None:
        fuse = Fuse(calls, after=after)
        fuse.around(self.bench.target, ["place", "route", "remove"])
        fuse.around(self.bench.state, ["attach", "set_live", "record", "forget"])
        try:
            self.bench.tick()
        except Killed:
            settle(self.bench.reconciler)
        self.bench.reopen()

    @precondition(lambda self: self.bench.world.replicas)
    @rule(data=st.data(), phase=st.sampled_from([ReplicaPhase.FAILED, ReplicaPhase.UNREADY]))
    def replica_breaks(self, data: st.DataObject, phase: ReplicaPhase) -> None:
        name = data.draw(st.sampled_from(sorted(self.bench.world.replicas)))
        if self.bench.world.replicas[name].phase is not ReplicaPhase.STOPPING:
            self.bench.world.set_phase(name, phase)

    @rule()
    def gateway_falls_or_comes_back(self) -> None:
        self.bench.world.gateway = not self.bench.world.gateway

    # ── what must hold ────────────────────────────────────────────────────────────────────────

    @invariant()
    def only_verified_revisions_get_traffic(self) -> None:
        for route in (*self.bench.world.told, *self.bench.world.seen):
            revision = self.bench.state.revision("digits", route.revision)
            if revision is not None:
                assert revision.verification == verification()

    @invariant()
    def what_is_routed_runs(self) -> None:
        for route in self.bench.world.seen:
            mine = self.bench.world.of(route.service, route.revision)
            assert any(replica.phase is not ReplicaPhase.STOPPING for replica in mine)

    @invariant()
    def the_record_is_consistent(self) -> None:
        record = self.bench.state.service("digits")
        revisions = self.bench.state.revisions("digits")
        live = [r.number for r in revisions if r.phase is Phase.LIVE]
        if record is None:
            assert revisions == ()
            return
        assert live == ([] if record.live is None else [record.live])
        assert record.wanted == revisions[-1].number
        assert all(revision.phase.ended for revision in revisions[:-1])

    def teardown(self) -> None:
        try:
            self._comes_to_rest_as_wanted()
        finally:
            self.bench.state.close()
            shutil.rmtree(self.folder)

    def _comes_to_rest_as_wanted(self) -> None:
        """Let all go on undisturbed: the end is what was asked for, and nothing more."""
        bench, world = self.bench, self.bench.world
        world.gateway = True
        for replica in list(world.replicas.values()):
            if replica.phase is ReplicaPhase.UNREADY:
                world.set_phase(replica.id, ReplicaPhase.READY)
        bench.run()
        record = bench.state.service("digits")
        if record is None:
            assert (world.replicas, world.seen) == ({}, ())
            return
        assert not record.deleting
        assert bench.revision(record.wanted).phase in {Phase.LIVE, Phase.FAILED}
        if record.live is None:
            assert (world.replicas, world.seen) == ({}, ())
            return
        assert world.seen == (Route("digits", record.live, 100),)
        assert {replica.revision for replica in world.replicas.values()} == {record.live}
        assert len(world.replicas) == record.operated["replicas"]


TestRollouts = pytest.mark.timeout(240)(Rollouts.TestCase)
TestRollouts.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
