"""Rollouts in which the new revision takes the room of the live one, in a world of replicas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_situations import ENDPOINT, FAILED, PASSED, READY, STARTING, STOPPING, revision

from cloche.artifacts import (
    Attached,
    Capacity,
    Cause,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    ServiceRecord,
)
from cloche.rollout import capacity as capacity_rules
from cloche.rollout import record as rules
from cloche.rollout.decide import Advance, Complete, Fail, Shift, decide
from cloche.rollout.situation import Limits, Situation
from cloche.targets import Replica, ReplicaPhase, ServiceObservation
from cloche.testing import START

AT = START.isoformat()


@dataclass
class World:
    """A place with room for so many replicas; each change takes a step."""

    record: ServiceRecord
    pods: dict[tuple[int, int], ReplicaPhase]
    split: dict[int, int]
    breaks: int | None = None
    """The replica of the new revision that does not come up, counted from 0."""
    seen: list[tuple[int, int, int]] = field(default_factory=list)
    """Replicas of each revision that answer, and the percent of the new one, step by step."""

    def observation(self) -> ServiceObservation:
        items = tuple(
            Replica(f"digits-r{number}-{index}", "digits", number, phase, 0, AT, None)
            for (number, index), phase in sorted(self.pods.items())
        )
        return ServiceObservation("digits", ENDPOINT, self.split, items)

    def situation(self) -> Situation:
        return Situation(
            self.record, {n: revision(n) for n in (1, 2)}, Attached(), self.observation(),
            START, START, limits=Limits(),
        )  # fmt: skip

    def step(self) -> None:
        """Let the place catch up, then do what is decided."""
        self._settle()
        made = decide(self.situation())
        match made.transition:
            case Advance(phase, size):
                self.record = rules.advance(self.record, phase, at=AT, size=size).record
            case Shift(step):
                self.record = rules.shift(self.record, step, at=AT).record
            case Complete():
                self.record = rules.complete(self.record, at=AT).record
            case Fail(failure):
                self.record = rules.fail(self.record, failure, at=AT).record
        if made.verify and self.record.rollout is not None:
            judged = rules.judge(self.record, PASSED, begun=AT, at=AT)
            self.record = judged.record
        if made.desired is not None:
            wanted = {
                one.revision: max(one.replicas.minimum, one.returns)
                for one in made.desired.placements
            }
            self.split = dict(made.desired.split)
            for number in (1, 2):
                self._scale(number, wanted.get(number, 0))
        ready = [sum(n == number and p is READY for (n, _), p in self.pods.items())
                 for number in (1, 2)]  # fmt: skip
        self.seen.append((ready[0], ready[1], self.split.get(2, 0)))

    def _settle(self) -> None:
        self.pods = {
            one: self._next(one, phase) for one, phase in self.pods.items() if phase is not STOPPING
        }

    def _next(self, one: tuple[int, int], phase: ReplicaPhase) -> ReplicaPhase:
        if phase is STARTING:
            return FAILED if one == (2, self.breaks) else READY
        return phase

    def _scale(self, number: int, wanted: int) -> None:
        staying = sorted(one for one, p in self.pods.items() if one[0] == number and p != STOPPING)
        for one in staying[wanted:]:
            self.pods[one] = STOPPING
        taken = {index for n, index in self.pods if n == number}
        free = (index for index in range(100) if index not in taken)
        for _ in range(wanted - len(staying)):
            self.pods[number, next(free)] = STARTING

    @property
    def over(self) -> bool:
        return self.record.rollout is None and set(self.pods.values()) == {READY}


def world(capacity: Capacity, count: int, *, breaks: int | None = None, now: int = 0) -> World:
    """Return a service with one live revision, to which a second was deployed.

    `now` is the number that an autoscaler made of `count`.
    """
    within = ReplicaRange(count, max(count, now))
    before = ServiceRecord("digits", Operated(within, warm=600, capacity=capacity), live=1)
    asked = rules.begin(before, 2, Cause.DEPLOY, by="me", at=AT, what="Asked.")
    pods = {(1, index): READY for index in range(now or count)}
    return World(asked.record, pods, {1: 100}, breaks)


def played(here: World, steps: int = 400) -> Iterator[World]:
    for _ in range(steps):
        here.step()
        yield here
        if here.over:
            return
    pytest.fail(f"still under way after {steps} steps: {here.seen[-3:]}")


def test_recreate_ends_the_live_replicas_first() -> None:
    here = world(Capacity.RECREATE, 2)
    for now in played(here):
        assert len(now.pods) <= 2
    assert (here.record.live, here.split) == (2, {2: 100})
    assert sorted(here.pods) == [(2, 0), (2, 1)]
    assert any(old == new == 0 for old, new, _ in here.seen)


def test_what_recreate_ended_comes_back_when_the_new_one_fails() -> None:
    here = world(Capacity.RECREATE, 2, breaks=1)
    list(played(here))
    last = here.record.latest
    assert last is not None
    assert last.outcome is Outcome.FAILED
    assert last.failure is not None
    assert "Revision 1 is started again" in last.failure["hint"]
    assert (here.record.live, here.split, len(here.pods)) == (1, {1: 100}, 2)


@pytest.mark.parametrize("breaks", [0, 4])
def test_as_many_come_back_as_an_autoscaler_had_made(breaks: int) -> None:
    """Not as few as the range allows."""
    here = world(Capacity.RECREATE, 2, breaks=breaks, now=5)
    list(played(here))
    made = decide(here.situation())
    assert made.desired is not None
    (live,) = made.desired.placements
    assert (live.revision, live.returns, live.replicas) == (1, 5, ReplicaRange(2, 5))
    assert len(here.pods) == 5


def test_a_rollout_that_follows_a_superseded_one_replaces_as_many() -> None:
    here = world(Capacity.RECREATE, 2, now=5)
    while here.pods and any(number == 1 for number, _ in here.pods):
        here.step()
    again = rules.begin(here.record, 2, Cause.DEPLOY, by="me", at=AT, what="Asked again.")
    here.record = again.record
    made = decide(here.situation()).transition
    assert made == Advance(Phase.STARTING, 5)


def test_nothing_comes_back_where_nothing_gave_its_room_away() -> None:
    for record in (
        world(Capacity.RECREATE, 2).record,
        rules.fail(world(Capacity.SURGE, 2).record, {}, at=AT).record,
        ServiceRecord("digits", Operated(), live=1),
    ):
        assert capacity_rules.displaced(record) == 0


def test_partial_takes_one_place_after_the_other_and_weights_follow() -> None:
    here = world(Capacity.PARTIAL, 4)
    list(played(here))
    weights = [weight for _, _, weight in here.seen]
    assert sorted(set(weights)) == [0, 25, 50, 75, 100]
    assert weights == sorted(weights)
    assert (here.record.live, len(here.pods)) == (2, 4)


def test_a_partial_rollout_that_fails_half_way_gives_all_back() -> None:
    here = world(Capacity.PARTIAL, 4, breaks=2)
    list(played(here))
    assert max(weight for _, _, weight in here.seen) == 50
    assert (here.record.live, here.split, len(here.pods)) == (1, {1: 100}, 4)


@given(
    st.sampled_from([Capacity.RECREATE, Capacity.PARTIAL]), st.integers(2, 9),
    st.none() | st.integers(0, 9), st.integers(0, 3),
)  # fmt: skip
def test_room_is_kept_and_with_partial_somebody_answers(
    capacity: Capacity, count: int, breaks: int | None, more: int
) -> None:
    size = count + more
    # With partial the last replica starts once the new revision is live.
    fails = breaks is not None and breaks < size - (capacity is Capacity.PARTIAL)
    here = world(capacity, count, breaks=breaks if fails else None, now=size)
    for now in played(here):
        rollout = now.record.rollout
        if rollout is None or rollout.phase is Phase.PENDING:
            continue
        assert len(now.pods) <= size
        old, new, weight = now.seen[-1]
        if capacity is Capacity.PARTIAL:
            assert old + new >= size - 1
            assert old or weight == 100
            assert new or weight == 0
    assert here.record.live == (1 if fails else 2)


def test_the_wait_for_a_machine_is_not_part_of_the_start() -> None:
    here = world(Capacity.SURGE, 1)
    here.record = rules.advance(here.record, Phase.STARTING, at=AT).record
    late = replace(here.situation(), now=START.replace(year=START.year + 1))
    waiting = Replica("digits-r2-0", "digits", 2, STARTING, 0, AT, None, unplaced=True)
    placed = replace(waiting, unplaced=False, placed_at=late.now.isoformat())

    def with_one(one: Replica) -> Situation:
        return replace(late, observation=replace(late.observation, replicas=(one,)))

    assert decide(with_one(waiting)).transition is None
    assert decide(with_one(placed)).transition is None
    assert isinstance(decide(with_one(replace(placed, placed_at=None))).transition, Fail)
