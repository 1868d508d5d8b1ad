"""The rollout's state machine: each transition, and what holds in every situation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.artifacts import (
    Attached,
    Cause,
    Golden,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    Revision,
    Rollout,
    ServiceRecord,
    Verification,
)
from cloche.errors import ClocheError, UnavailableError
from cloche.rollout.decide import ROLLING, Advance, Complete, Decision, Fail, decide
from cloche.rollout.situation import Limits, Situation
from cloche.targets import Endpoint, Replica, ReplicaPhase, ServiceObservation
from cloche.testing import GOLDEN, START, deployment, verification

READY, STARTING, FAILED = ReplicaPhase.READY, ReplicaPhase.STARTING, ReplicaPhase.FAILED
STOPPING = ReplicaPhase.STOPPING
PASSED, WRONG = verification(), verification(passed=False)
ENDPOINT = Endpoint("http://127.0.0.1:8080", "127.0.0.1:8080", True, log="logs/gateway.log")


def revision(number: int) -> Revision:
    asked = deployment(model=str(number))
    return Revision("digits", number, asked.digest, asked, START.isoformat())


def replica(number: int, phase: ReplicaPhase = READY, index: int = 0) -> Replica:
    name = f"digits-r{number}-{index}"
    return Replica(
        name, "digits", number, phase, 0, START.isoformat(), f"http://{name}",
        detail="out of memory" if phase is FAILED else None,
        last_log=("killed",) if phase is FAILED else (),
    )  # fmt: skip


def rollout(
    phase: Phase,
    checked: Verification | None = None,
    *,
    to: int = 2,
    live: int | None = None,
    outcome: Outcome | None = None,
    verify: bool = True,
) -> Rollout:
    shifting = phase is Phase.SHIFTING
    since = START.isoformat()
    return Rollout(
        to, live, Cause.DEPLOY, "", since, phase, since,
        verify=verify, step=int(shifting), weight=100 * int(shifting), verification=checked,
        outcome=outcome,
    )  # fmt: skip


def situation(
    moving: Rollout | Outcome | None,
    *replicas: Replica,
    golden: Golden | None = None,
    live: int | None = None,
    routed: int | None = None,
    count: int = 1,
    deleting: bool = False,
    after: float = 1.0,
    resumed: float = 0.0,
    trouble: ClocheError | None = None,
) -> Situation:
    """Return a situation `after` seconds into the phase of a rollout; an outcome is its end."""
    if isinstance(moving, Outcome):
        moving = rollout(Phase.ENDED, outcome=moving, to=2, live=live)
    return Situation(
        record=ServiceRecord(
            "digits",
            Operated(replicas=ReplicaRange.exactly(count), start_timeout=90),
            live,
            (moving,) if moving is not None else (),
            deleting=deleting,
        ),
        revisions={number: revision(number) for number in (1, 2, 3)},
        attached=Attached(golden=golden),
        observation=ServiceObservation(
            "digits", ENDPOINT, {routed: 100} if routed else {}, replicas
        ),
        now=START + timedelta(seconds=after),
        resumed=START + timedelta(seconds=resumed),
        trouble=trouble,
        limits=Limits(pending=100, beyond_start=10, verifying=100, shifting=10),
    )


def placed(made: Decision) -> list[int]:
    assert made.desired is not None
    return [placement.revision for placement in made.desired.placements]


def split(made: Decision) -> dict[int, int]:
    assert made.desired is not None
    return dict(made.desired.split)


TO_STARTING = Advance(Phase.STARTING)
TO_VERIFYING = Advance(Phase.VERIFYING)
TO_SHIFTING = Advance(Phase.SHIFTING)
pending = rollout(Phase.PENDING)
starting = rollout(Phase.STARTING)
unasked = rollout(Phase.STARTING, verify=False)
verifying = rollout(Phase.VERIFYING)
verified = rollout(Phase.VERIFYING, PASSED)
shifting = rollout(Phase.SHIFTING, PASSED)
paused = replace(shifting, paused=True)
live_one = Outcome.COMPLETED


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (situation(pending), TO_STARTING),
        (situation(pending, replica(2, FAILED)), None),
        (situation(pending, replica(1, FAILED), live=1), TO_STARTING),
        (situation(starting), None),
        (situation(starting, replica(2)), None),
        (situation(starting, golden=GOLDEN), None),
        (situation(starting, replica(2, STARTING), golden=GOLDEN), None),
        (situation(starting, replica(2), golden=GOLDEN), TO_VERIFYING),
        (situation(starting, replica(2), replica(2, STARTING, 1), golden=GOLDEN, count=2),
         TO_VERIFYING),
        (situation(starting, replica(1), golden=GOLDEN, live=1), None),
        (situation(unasked, replica(2)), TO_SHIFTING),
        (situation(unasked, replica(2), replica(2, STARTING, 1), count=2), None),
        (situation(verifying, replica(2), golden=GOLDEN), None),
        (situation(verified, replica(2)), TO_SHIFTING),
        (situation(verified, replica(2), count=2), None),
        (situation(verified, replica(2), replica(2, STARTING, 1), count=2), None),
        (situation(verified, replica(2), replica(2, READY, 1), count=2), TO_SHIFTING),
        (situation(verified, replica(2, ReplicaPhase.UNREADY)), None),
        (situation(shifting, replica(2)), None),
        (situation(shifting, replica(2), routed=1, live=1), None),
        (situation(shifting, replica(2), routed=2), Complete()),
        (situation(shifting, replica(2), routed=2, live=1), Complete()),
        (situation(paused, replica(2), routed=1, live=1, after=10_000), None),
        (situation(live_one, replica(2), routed=2, live=2), None),
        (situation(live_one, replica(2, FAILED), routed=2, live=2), None),
        (situation(Outcome.FAILED, live=1), None),
    ],
)  # fmt: skip
def test_transition(now: Situation, expected: Advance | Complete | None) -> None:
    assert decide(now).transition == expected


refused = ClocheError("golden.refused", "The model refused the request.", hint="Log an example.")
unreachable = UnavailableError("infer.unreachable", "Nothing answered.")


@pytest.mark.parametrize(
    ("now", "code", "says"),
    [
        (situation(starting, replica(2, FAILED)), "rollout.replica", "out of memory"),
        (situation(verified, replica(2), replica(2, FAILED, 1), count=2), "rollout.replica", ""),
        (situation(shifting, replica(2, FAILED)), "rollout.replica", "out of memory"),
        (
            situation(rollout(Phase.VERIFYING, WRONG), replica(2)),
            "rollout.verification",
            "differs by 0.5",
        ),
        (situation(starting, trouble=refused), "golden.refused", "refused"),
        (situation(starting, after=101), "rollout.timeout", "golden request was not made"),
        (
            situation(starting, replica(2, STARTING), golden=GOLDEN, after=101),
            "rollout.timeout",
            "digits-r2-0 is starting",
        ),
        (situation(starting, golden=GOLDEN, after=101), "rollout.timeout", "no replica"),
        (
            situation(verifying, replica(2), golden=GOLDEN, after=101),
            "rollout.timeout",
            "was not answered",
        ),
        (situation(shifting, replica(2), after=11), "rollout.timeout", "gateway"),
        (situation(starting, trouble=unreachable, after=101), "infer.unreachable", "Nothing"),
    ],
)
def test_failure(now: Situation, code: str, says: str) -> None:
    failed = decide(now).transition
    assert isinstance(failed, Fail)
    assert failed.failure["code"] == code
    assert says in failed.failure["what"]
    if code == "rollout.replica":
        assert failed.failure["log"] == ["killed"]


@pytest.mark.parametrize(
    "now",
    [
        situation(starting, after=99),
        situation(starting, trouble=unreachable, after=99),
        situation(starting, after=500, resumed=450),
        situation(live_one, after=10_000, live=2, trouble=refused),
        situation(starting, replica(1, FAILED), golden=GOLDEN, live=1),
    ],
    ids=["in time", "may pass", "nobody was there", "live", "another's replica"],
)
def test_no_failure(now: Situation) -> None:
    assert decide(now).transition is None


def test_progress_comes_before_a_limit() -> None:
    late = situation(starting, replica(2), golden=GOLDEN, after=10_000)
    assert decide(late).transition == TO_VERIFYING
    assert decide(situation(shifting, replica(2), routed=2, after=10_000)).transition == Complete()


def test_golden_and_replicas_are_made_together() -> None:
    made = decide(situation(starting, replica(1), live=1, routed=1, count=3))
    assert made.make_golden
    assert made.desired is not None
    placements = made.desired.placements
    assert [(one.revision, one.replicas.minimum) for one in placements] == [(1, 3), (2, 3)]
    assert placements[1].repository == revision(2).deployment.repository
    assert placements[1].start_limit == 90
    assert split(made) == {1: 100}
    assert not made.settled


def test_a_ready_replica_is_asked() -> None:
    two = (replica(2, STARTING), replica(2, READY, 1))
    assert decide(situation(verifying, *two, golden=GOLDEN, count=2)).verify
    assert not decide(situation(verifying, golden=GOLDEN)).verify
    assert not decide(situation(verified, *two, golden=GOLDEN, count=2)).verify


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
    assert (nothing.forget, placed(nothing), nothing.make_golden) == (True, [], False)


@pytest.mark.parametrize(
    ("operated", "count"),
    [(Operated(), 1), (Operated(replicas=ReplicaRange(3, 3)), 3), (Operated(keep=3), 1)],
)
def test_replicas(operated: Operated, count: int) -> None:
    assert operated.replica_range == ReplicaRange.exactly(count)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Draw a situation that can be: what is attached fits the phase, all else is anything."""
    phase = draw(st.sampled_from(list(Phase)))
    golden = GOLDEN if phase in {Phase.VERIFYING, Phase.SHIFTING} else None
    if phase is Phase.STARTING:
        golden = draw(st.sampled_from([None, GOLDEN]))
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
        golden=golden,
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
