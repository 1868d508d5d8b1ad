"""What a rollout wants there to be: replicas, split and records, and what always holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_situations import (
    FAILED,
    PASSED,
    READY,
    STARTING,
    STOPPING,
    WRONG,
    live_one,
    refused,
    replica,
    revision,
    rollout,
    shifting,
    situation,
    starting,
    unreachable,
    verified,
    verifying,
)

from cloche.artifacts import Lock, Operated, Outcome, Phase, ReplicaRange, Revision
from cloche.rollout.decide import ROLLING, Advance, Complete, Decision, decide, placement
from cloche.rollout.situation import Situation
from cloche.targets import Replica, ReplicaPhase
from cloche.testing import START, deployment


def placed(made: Decision) -> list[int]:
    assert made.desired is not None
    return [placement.revision for placement in made.desired.placements]


def split(made: Decision) -> dict[int, int]:
    assert made.desired is not None
    return dict(made.desired.split)


def test_replicas_start_beside_the_live_ones() -> None:
    made = decide(situation(starting, replica(1), live=1, routed=1, count=3))
    assert made.desired is not None
    placements = made.desired.placements
    assert [(one.revision, one.replicas.minimum) for one in placements] == [(1, 3), (2, 3)]
    assert placements[1].repository == revision(2).deployment.repository
    assert placements[1].start_limit == 90
    assert split(made) == {1: 100}
    assert not made.settled


@pytest.mark.parametrize(
    ("pinned", "registry", "aliases"),
    [
        ("models:/My_Model/3", "http://registry", ("My_Model",)),
        ("models:/digits/3", "http://registry", ()),
        ("models:/m-0a1b", "http://registry", ()),
        ("/models/My_Model", None, ()),
    ],
)
def test_a_placement_has_the_name_of_the_registry(
    pinned: str, registry: str | None, aliases: tuple[str, ...]
) -> None:
    made = deployment("digits")
    snapshot = replace(made.main.snapshot, pinned=pinned, registry=registry)
    made = replace(made, members=(replace(made.main, snapshot=snapshot),))
    one = Revision("digits", 1, made.digest, made, "2026")
    assert placement(one, made.operated).aliases == aliases


def test_a_placement_has_the_lock_that_its_model_runs_in() -> None:
    """That of a converted model made it, and nothing runs in it."""
    made = deployment("digits")
    lock = Lock("sha256:" + "1" * 64, "3.11", "a==1")
    made = replace(made, members=(replace(made.main, lock=lock),))
    one = Revision("digits", 1, made.digest, made, "2026")
    assert placement(one, made.operated).lock is None
    served = replace(made.repository.main, lock_digest=lock.digest)
    made = replace(made, repository=replace(made.repository, members=(served,)))
    assert placement(replace(one, deployment=made), made.operated).lock == lock


def test_a_ready_replica_is_asked() -> None:
    two = (replica(2, STARTING), replica(2, READY, 1))
    assert decide(situation(verifying, *two, count=2)).verify
    assert not decide(situation(verifying)).verify
    assert not decide(situation(verified, *two, count=2)).verify


def test_shifting_takes_all_requests() -> None:
    made = decide(situation(shifting, replica(1), replica(2), live=1, routed=1))
    assert (split(made), placed(made)) == ({2: 100}, [1, 2])


def test_a_step_of_less_than_all_leaves_the_rest_to_the_live_one() -> None:
    part = replace(shifting, weight=25)
    made = decide(situation(part, replica(1), replica(2), live=1, routed=1))
    assert split(made) == {1: 75, 2: 25}
    assert split(decide(situation(part, replica(2)))) == {2: 100}


def test_what_was_live_is_removed_when_nothing_is_sent_to_it() -> None:
    late = decide(situation(live_one, replica(1), replica(2), live=2, routed=1))
    assert (placed(late), late.settled) == ([1, 2], False)
    done = decide(situation(live_one, replica(1), replica(2), live=2, routed=2))
    assert (placed(done), done.settled) == ([2], False)
    assert decide(situation(live_one, replica(2), live=2, routed=2)).settled


def warm_for(seconds: float, *, after: float, replicas: tuple[Replica, ...]) -> Situation:
    """Return the situation after a rollout from 1 to 2 that ended at its start."""
    done = replace(rollout(Phase.ENDED, outcome=live_one, live=1), ended_at=START.isoformat())
    seen = situation(done, *replicas, live=2, routed=2, after=after)
    operated = replace(seen.record.operated, warm=seconds)
    return replace(seen, record=replace(seen.record, operated=operated))


def test_the_former_revision_keeps_its_replicas_while_it_is_warm() -> None:
    both = (replica(1), replica(2))
    made = decide(warm_for(600, after=599, replicas=both))
    assert (placed(made), split(made), made.settled) == ([1, 2], {2: 100}, True)
    overdue = decide(warm_for(600, after=600, replicas=both))
    assert (placed(overdue), overdue.settled) == ([2], False)
    assert placed(decide(warm_for(0, after=0, replicas=both))) == [2]


def test_a_new_rollout_ends_what_is_warm() -> None:
    seen = warm_for(600, after=1, replicas=(replica(1), replica(2)))
    rollouts = (*seen.record.rollouts, rollout(Phase.STARTING, to=3, live=2))
    made = decide(replace(seen, record=replace(seen.record, rollouts=rollouts)))
    assert placed(made) == [2, 3]


def test_as_many_replicas_take_over_as_answer_now() -> None:
    live = tuple(replica(1, READY, index) for index in range(3))
    one, three = (tuple(replica(2, READY, index) for index in range(n)) for n in (1, 3))

    def seen(new: tuple[Replica, ...]) -> Decision:
        now = situation(verified, *live, *new, live=1, routed=1)
        operated = replace(now.record.operated, replicas=ReplicaRange(1, 5))
        return decide(replace(now, record=replace(now.record, operated=operated)))

    assert seen(one).transition is None
    assert seen(three).transition == Advance(Phase.SHIFTING)


@pytest.mark.parametrize("ended", [Outcome.FAILED, Outcome.SUPERSEDED])
def test_what_ended_is_removed_and_the_live_one_stays(ended: Outcome) -> None:
    made = decide(situation(ended, replica(1), replica(2, FAILED), live=1, routed=1))
    assert (placed(made), split(made)) == ([1], {1: 100})


def test_a_failed_shift_goes_back_first() -> None:
    made = decide(situation(Outcome.FAILED, replica(1), replica(2), live=1, routed=2))
    assert (split(made), placed(made)) == ({1: 100}, [1, 2])


def test_a_first_revision_that_failed_leaves_nothing() -> None:
    made = decide(situation(Outcome.FAILED, replica(2)))
    assert (split(made), placed(made), made.settled) == ({}, [], False)
    assert decide(situation(Outcome.FAILED)).settled


def test_deletion_goes_from_the_routes_to_the_records() -> None:
    routed = decide(situation(live_one, replica(2), live=2, routed=2, deleting=True))
    assert (split(routed), placed(routed), routed.forget) == ({}, [2], False)
    running = decide(situation(live_one, replica(1), replica(2), live=2, deleting=True))
    assert (split(running), placed(running), running.forget) == ({}, [], False)
    stopping = decide(situation(live_one, replica(2, STOPPING), live=2, deleting=True))
    assert (placed(stopping), stopping.forget) == ([], False)
    nothing = decide(situation(live_one, live=2, deleting=True))
    assert (nothing.forget, placed(nothing)) == (True, [])


@pytest.mark.parametrize(
    ("operated", "count"),
    [(Operated(), 1), (Operated(replicas=ReplicaRange(3, 3)), 3), (Operated(keep=3), 1)],
)
def test_replicas(operated: Operated, count: int) -> None:
    assert operated.replica_range == ReplicaRange.exactly(count)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Draw a situation that can be: the outcome fits the phase, all else is anything."""
    phase = draw(st.sampled_from(list(Phase)))
    checked = PASSED if phase is Phase.SHIFTING else None
    if phase is Phase.VERIFYING:
        checked = draw(st.sampled_from([None, PASSED, WRONG]))
    outcome = draw(st.sampled_from(list(Outcome))) if phase is Phase.ENDED else None
    completed = outcome is Outcome.COMPLETED
    live = 3 if completed else draw(st.sampled_from([None, 2]))
    moving = rollout(phase, checked, to=3, live=live, outcome=outcome)
    replicas = [
        replica(number, draw(st.sampled_from(list(ReplicaPhase))), index)
        for number in (1, 2, 3)
        for index in range(draw(st.integers(0, 2)))
    ]
    return situation(
        moving,
        *replicas,
        live=live,
        routed=draw(st.sampled_from([None, 1, 2, 3])),
        count=draw(st.integers(1, 2)),
        deleting=draw(st.booleans()),
        after=draw(st.sampled_from([1.0, 50.0, 1000.0])),
        trouble=draw(st.sampled_from([None, refused, unreachable])),
    )


@given(situations())
def test_in_every_situation(now: Situation) -> None:
    made = decide(now)
    assert decide(now) == made
    moving = now.record.rollouts[-1]
    running = {one.revision for one in now.observation.replicas}
    routed = set(now.observation.split)
    kept = {now.record.live} | ({3} if moving.phase in ROLLING else set())
    if made.transition in (Advance(Phase.SHIFTING), Complete()):
        assert moving.verification == PASSED
    if made.transition == Complete():
        assert routed == {3}
    if made.transition is not None:
        assert made.desired is None
        assert not now.record.deleting
        return
    assert routed <= set(placed(made))
    if now.record.deleting:
        assert split(made) == {}
        assert made.forget == (not running and not routed)
        return
    assert not made.forget
    assert set(placed(made)) == (kept - {None}) | routed
    for number, weight in split(made).items():
        assert number == now.record.live or moving.phase is Phase.SHIFTING
        assert weight == 100
