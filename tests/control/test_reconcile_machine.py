"""Anything that people, models and kill -9 may do, in any order: what must hold after each step."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from control_bench import Bench
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cloche.artifacts import ChangeKind, Outcome, Phase, ServiceRecord, Standing
from cloche.errors import ClocheError, UnavailableError
from cloche.targets import ReplicaPhase
from cloche.testing import deployment, verification

MODELS = st.sampled_from(["a", "b", "c", "wrong", "broken"])
ANSWERS = {
    ChangeKind.NONE: "none",
    ChangeKind.SCALE: "scaled",
    ChangeKind.UPDATE: "revision",
    ChangeKind.CREATE: "revision",
}


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
        self.had_traffic: set[int] = set()
        self.bench.verifier.wrong.add("./wrong.onnx")
        self.bench.verifier.broken["./broken.onnx"] = ClocheError("golden.crashed", "It crashed.")

    def record(self) -> ServiceRecord | None:
        stored = self.bench.state.service("digits")
        return stored.record if stored is not None else None

    # ── what may happen ───────────────────────────────────────────────────────────────────────

    @rule(model=MODELS, replicas=st.integers(1, 2))
    def deploy(self, model: str, replicas: int) -> None:
        """Plan and deploy the same thing: the plan says what the deploy does."""
        asked, before = deployment("digits", model, replicas), self.record()
        if before is not None and before.deleting:
            with pytest.raises(UnavailableError, match="being deleted"):
                self.bench.engine.deploy(asked)
            return
        numbers = {one.number for one in self.bench.state.revisions("digits")}
        plan = self.bench.engine.plan(asked)
        assert self.record() == before
        answer = self.bench.engine.deploy(asked)
        after = self.record()
        assert after is not None
        assert answer["change"] == ANSWERS[plan.kind]
        if plan.revision is None:
            assert answer["revision"] not in numbers
            assert after.rollout is not None
            assert after.rollout.to == answer["revision"]
        else:
            assert answer["revision"] == plan.revision
            assert {one.number for one in self.bench.state.revisions("digits")} == numbers
        if plan.kind is ChangeKind.NONE:
            assert before is not None
            assert (after.live, after.rollout, after.operated) == (
                before.live, before.rollout, before.operated,
            )  # fmt: skip
        assert self.bench.engine.plan(asked).kind is ChangeKind.NONE

    @rule(model=MODELS, calls=st.integers(1, 3), after=st.booleans())
    def deploy_is_killed(self, model: str, calls: int, after: bool) -> None:
        """A deploy that is cut off is recorded whole or not at all, but for an unused number."""
        before = self.record()
        fuse = Fuse(calls, after=after)
        fuse.around(self.bench.state, ["add_revision", "put"])
        fuse.around(self.bench.journal, ["append"])
        with suppress(Killed, UnavailableError):
            self.bench.engine.deploy(deployment("digits", model))
        self.bench.reopen()
        now = self.record()
        assert now == before or (now is not None and now.latest is not None)

    @rule(data=st.data(), verify=st.booleans())
    def roll_back(self, data: st.DataObject, verify: bool) -> None:
        before = self.record()
        known = [one.number for one in self.bench.state.revisions("digits")]
        to = data.draw(st.sampled_from([None, 99, *known]))
        try:
            answer = self.bench.engine.rollback("digits", to, verify=verify)
        except ClocheError:
            assert self.record() == before
            return
        after = self.record()
        assert before is not None
        assert after is not None
        assert not before.deleting
        assert answer["revision"] == (to or answer["revision"])
        assert after.rollout is None or after.rollout.to == answer["revision"]
        if to is None:
            lived = [one.to for one in before.rollouts if one.outcome is Outcome.COMPLETED]
            assert answer["revision"] in lived
            assert answer["revision"] != before.live

    @rule(replicas=st.integers(1, 3))
    def scale(self, replicas: int) -> None:
        record = self.record()
        if record is not None and not record.deleting:
            self.bench.engine.scale("digits", replicas)

    @rule()
    def delete(self) -> None:
        if self.record() is not None:
            self.bench.engine.delete("digits")

    @rule(times=st.sampled_from([1, 2, 3, 4, 25]))
    def tick(self, times: int) -> None:
        self.bench.tick(times)

    @rule(calls=st.integers(1, 6), after=st.booleans())
    def tick_is_killed(self, calls: int, after: bool) -> None:
        fuse = Fuse(calls, after=after)
        fuse.around(self.bench.target, ["apply"])
        fuse.around(self.bench.state, ["attach", "put", "delete"])
        fuse.around(self.bench.journal, ["append"])
        try:
            self.bench.tick()
        except Killed:
            self.bench.settle()
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

    @rule()
    def gateway_hangs_or_goes_on(self) -> None:
        self.bench.world.stuck = not self.bench.world.stuck

    # ── what must hold ────────────────────────────────────────────────────────────────────────

    @invariant()
    def only_verified_revisions_get_traffic(self) -> None:
        world = self.bench.world
        for split in (world.told.get("digits", {}), world.seen.get("digits", {})):
            for number in split:
                if self.bench.state.revision("digits", number) is not None:
                    attached = self.bench.state.attached("digits", number)
                    assert attached.verification == verification()

    @invariant()
    def what_is_routed_runs(self) -> None:
        for number in self.bench.world.seen.get("digits", {}):
            mine = self.bench.world.of("digits", number)
            assert any(replica.phase is not ReplicaPhase.STOPPING for replica in mine)

    @invariant()
    def the_live_revision_has_the_traffic_or_nothing_ever_had(self) -> None:
        record, told = self.record(), self.bench.world.told.get("digits", {})
        if record is None or record.deleting:
            return
        if record.live is None:
            shifted = [one.outcome for one in record.rollouts if one.weight]
            assert set(shifted) <= {None, Outcome.FAILED}
            return
        assert sum(told.values()) == 100 or record.live not in self.had_traffic
        self.had_traffic |= set(told)
        shifted = [one.to for one in record.rollouts if one.weight]
        assert set(told) <= {record.live, *shifted}

    @invariant()
    def the_record_is_consistent(self) -> None:
        record = self.record()
        revisions = self.bench.state.revisions("digits")
        if record is None:
            return
        numbers = {one.number for one in revisions}
        assert all(one.to in numbers for one in record.rollouts)
        assert all(one.ended for one in record.rollouts[:-1])
        live = [n for n in numbers if self.bench.phase(n) == Standing.LIVE]
        rolling = record.rollout.to if record.rollout is not None else None
        assert live == ([] if record.live in {None, rolling} else [record.live])
        for one in record.rollouts:
            assert (one.outcome is None) == (one.phase is not Phase.ENDED)
            assert (one.outcome is Outcome.FAILED) == (one.failure is not None)

    def teardown(self) -> None:
        try:
            self._comes_to_rest_as_wanted()
        finally:
            self.bench.close()
            shutil.rmtree(self.folder)

    def _comes_to_rest_as_wanted(self) -> None:
        """Let all go on undisturbed: the end is what was asked for, and nothing more."""
        bench, world = self.bench, self.bench.world
        world.gateway, world.stuck = True, False
        for replica in list(world.replicas.values()):
            if replica.phase is ReplicaPhase.UNREADY:
                world.set_phase(replica.id, ReplicaPhase.READY)
        bench.run()
        record = self.record()
        if record is None:
            assert (world.replicas, world.seen) == ({}, {})
            return
        assert not record.deleting
        assert record.rollout is None
        assert record.latest is not None
        assert bench.phase(record.latest.to) in {Standing.LIVE, Standing.FAILED}
        if record.live is None:
            assert (world.replicas, world.seen) == ({}, {})
            return
        assert bench.split() == {record.live: 100}
        assert {replica.revision for replica in world.replicas.values()} == {record.live}
        assert len(world.replicas) == record.operated.replica_range.minimum


TestRollouts = pytest.mark.timeout(240)(Rollouts.TestCase)
TestRollouts.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
