"""The rollout's state machine: each transition, and what holds in every situation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.artifacts import Phase, Revision
from cloche.errors import ClocheError, UnavailableError
from cloche.rollout.phases import (
    ROLLING,
    Advance,
    Fail,
    GoLive,
    Limits,
    Plan,
    Situation,
    plan,
    replicas_of,
)
from cloche.state.state import ServiceRecord
from cloche.targets.target import Gateway, Observation, Replica, ReplicaPhase, Route
from fixtures_control import GOLDEN, START, deployment, verification

READY, STARTING, FAILED = ReplicaPhase.READY, ReplicaPhase.STARTING, ReplicaPhase.FAILED
STOPPING = ReplicaPhase.STOPPING
PASSED, WRONG = verification(), verification(passed=False)


def revision(number: int, phase: Phase, **attached: Any) -> Revision:
    asked = deployment(model=str(number))
    since = START.isoformat()
    return Revision("digits", number, asked.digest, asked, since, phase, since, **attached)


def replica(number: int, phase: ReplicaPhase = READY, index: int = 0) -> Replica:
    name = f"digits-r{number}-{index}"
    return Replica(
        name, "digits", number, phase, 0, START.isoformat(), f"http://{name}",
        detail="out of memory" if phase is FAILED else None,
        last_log=("killed",) if phase is FAILED else (),
    )  # fmt: skip


def situation(
    wanted: Revision,
    *replicas: Replica,
    live: int | None = None,
    routed: int | None = None,
    count: int = 1,
    deleting: bool = False,
    after: float = 1.0,
    resumed: float = 0.0,
    trouble: ClocheError | None = None,
) -> Situation:
    """Return a situation `after` seconds into the phase of the wanted revision."""
    if live == wanted.number:
        live_revision: Revision | None = wanted
    else:
        live_revision = revision(live, Phase.LIVE, golden=GOLDEN) if live else None
    routes = (Route("digits", routed, 100),) if routed else ()
    others = (replace(replica(1), id="other-r1-0", service="other"),)
    gateway = Gateway(True, "http://127.0.0.1:8080", "127.0.0.1:8080")
    return Situation(
        record=ServiceRecord("digits", wanted.number, live, {"replicas": count}, deleting),
        wanted=wanted,
        live=live_revision,
        observation=Observation(gateway, (*replicas, *others), (*routes, Route("other", 1, 100))),
        now=START + timedelta(seconds=after),
        resumed=START + timedelta(seconds=resumed),
        trouble=trouble,
        limits=Limits(starting=100, verifying=100, shifting=10),
    )


def placed(made: Plan) -> list[int]:
    return [placement.revision for placement in made.placements]


TO_STARTING = Advance(2, Phase.STARTING)
TO_VERIFYING = Advance(2, Phase.VERIFYING)
TO_SHIFTING = Advance(2, Phase.SHIFTING)
starting = revision(2, Phase.STARTING)
with_golden = revision(2, Phase.STARTING, golden=GOLDEN)
verifying = revision(2, Phase.VERIFYING, golden=GOLDEN)
verified = revision(2, Phase.VERIFYING, golden=GOLDEN, verification=PASSED)
shifting = revision(2, Phase.SHIFTING, golden=GOLDEN, verification=PASSED)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (situation(revision(2, Phase.PENDING)), TO_STARTING),
        (situation(starting), None),
        (situation(starting, replica(2)), None),
        (situation(with_golden), None),
        (situation(with_golden, replica(2, STARTING)), None),
        (situation(with_golden, replica(2)), TO_VERIFYING),
        (situation(with_golden, replica(2), replica(2, STARTING, 1), count=2), TO_VERIFYING),
        (situation(with_golden, replica(1), live=1), None),
        (situation(verifying, replica(2)), None),
        (situation(verified, replica(2)), TO_SHIFTING),
        (situation(verified, replica(2), count=2), None),
        (situation(verified, replica(2), replica(2, STARTING, 1), count=2), None),
        (situation(verified, replica(2), replica(2, READY, 1), count=2), TO_SHIFTING),
        (situation(verified, replica(2, ReplicaPhase.UNREADY)), None),
        (situation(shifting, replica(2)), None),
        (situation(shifting, replica(2), routed=1, live=1), None),
        (situation(shifting, replica(2), routed=2), GoLive(2)),
        (situation(shifting, replica(2), routed=2, live=1), GoLive(2)),
        (situation(revision(2, Phase.LIVE), replica(2), routed=2, live=2), None),
        (situation(revision(2, Phase.LIVE), replica(2, FAILED), routed=2, live=2), None),
        (situation(revision(2, Phase.FAILED), live=1), None),
    ],
)  # fmt: skip
def test_transition(now: Situation, expected: Advance | GoLive | None) -> None:
    assert plan(now).transition == expected


refused = ClocheError("golden.refused", "The model refused the request.", hint="Log an example.")
unreachable = UnavailableError("infer.unreachable", "Nothing answered.")


@pytest.mark.parametrize(
    ("now", "code", "says"),
    [
        (situation(starting, replica(2, FAILED)), "rollout.replica", "out of memory"),
        (situation(verified, replica(2), replica(2, FAILED, 1), count=2), "rollout.replica", ""),
        (situation(shifting, replica(2, FAILED)), "rollout.replica", "out of memory"),
        (
            situation(replace(verifying, verification=WRONG), replica(2)),
            "rollout.verification",
            "differs by 0.5",
        ),
        (situation(starting, trouble=refused), "golden.refused", "refused"),
        (situation(starting, after=101), "rollout.timeout", "golden request was not made"),
        (
            situation(with_golden, replica(2, STARTING), after=101),
            "rollout.timeout",
            "digits-r2-0 is starting",
        ),
        (situation(with_golden, after=101), "rollout.timeout", "no replica"),
        (situation(verifying, replica(2), after=101), "rollout.timeout", "was not answered"),
        (situation(shifting, replica(2), after=11), "rollout.timeout", "gateway"),
        (situation(starting, trouble=unreachable, after=101), "infer.unreachable", "Nothing"),
    ],
)
def test_failure(now: Situation, code: str, says: str) -> None:
    failed = plan(now).transition
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
        situation(revision(2, Phase.LIVE), after=10_000, live=2, trouble=refused),
        situation(with_golden, replica(1, FAILED), live=1),
    ],
    ids=["in time", "may pass", "nobody was there", "live", "another's replica"],
)
def test_no_failure(now: Situation) -> None:
    assert plan(now).transition is None


def test_progress_comes_before_a_limit() -> None:
    assert plan(situation(with_golden, replica(2), after=10_000)).transition == TO_VERIFYING
    assert plan(situation(shifting, replica(2), routed=2, after=10_000)).transition == GoLive(2)


def test_golden_and_replicas_are_made_together() -> None:
    made = plan(situation(starting, replica(1), live=1, routed=1, count=3))
    assert made.make_golden
    assert [(p.revision, p.replicas) for p in made.placements] == [(1, 3), (2, 3)]
    assert made.placements[1].repository == starting.deployment.repository
    assert made.routes == (Route("digits", 1, 100),)
    assert not made.settled


def test_the_first_ready_replica_is_asked() -> None:
    two = (replica(2, STARTING), replica(2, READY, 1))
    assert plan(situation(verifying, *two, count=2)).verify_at == "http://digits-r2-1"
    assert plan(situation(verifying)).verify_at is None
    assert plan(situation(verified, *two, count=2)).verify_at is None


def test_shifting_takes_all_requests() -> None:
    made = plan(situation(shifting, replica(1), replica(2), live=1, routed=1))
    assert made.routes == (Route("digits", 2, 100),)
    assert (placed(made), made.removals) == ([1, 2], ())


def test_what_was_live_is_removed_when_nothing_is_sent_to_it() -> None:
    live = revision(2, Phase.LIVE)
    late = plan(situation(live, replica(1), replica(2), live=2, routed=1))
    assert (late.removals, late.settled) == ((), False)
    done = plan(situation(live, replica(1), replica(2), live=2, routed=2))
    assert (done.removals, placed(done), done.settled) == ((1,), [2], False)
    assert plan(situation(live, replica(2), live=2, routed=2)).settled


@pytest.mark.parametrize("ended", [Phase.FAILED, Phase.SUPERSEDED])
def test_what_ended_is_removed_and_the_live_one_stays(ended: Phase) -> None:
    made = plan(situation(revision(2, ended), replica(1), replica(2, FAILED), live=1, routed=1))
    assert made.removals == (2,)
    assert placed(made) == [1]
    assert made.routes == (Route("digits", 1, 100),)


def test_a_failed_shift_goes_back_first() -> None:
    made = plan(situation(revision(2, Phase.FAILED), replica(1), replica(2), live=1, routed=2))
    assert made.routes == (Route("digits", 1, 100),)
    assert made.removals == ()


def test_a_first_revision_that_failed_leaves_nothing() -> None:
    made = plan(situation(revision(2, Phase.FAILED), replica(2)))
    assert (made.routes, placed(made), made.removals) == ((), [], (2,))
    assert plan(situation(revision(2, Phase.FAILED))).settled


def test_deletion_goes_from_the_routes_to_the_records() -> None:
    gone = revision(2, Phase.LIVE)
    routed = plan(situation(gone, replica(2), live=2, routed=2, deleting=True))
    assert (routed.routes, routed.removals, routed.forget) == ((), (), False)
    running = plan(situation(gone, replica(1), replica(2), live=2, deleting=True))
    assert (running.routes, running.removals, running.forget) == ((), (1, 2), False)
    stopping = plan(situation(gone, replica(2, STOPPING), live=2, deleting=True))
    assert (stopping.removals, stopping.forget) == ((2,), False)
    nothing = plan(situation(gone, live=2, deleting=True))
    assert (nothing.forget, placed(nothing), nothing.make_golden) == (True, [], False)


@pytest.mark.parametrize(("operated", "count"), [({}, 1), ({"replicas": 3}, 3), ({"other": 1}, 1)])
def test_replicas(operated: dict[str, Any], count: int) -> None:
    assert replicas_of(operated) == count


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Draw a situation that can be: what is attached fits the phase, all else is anything."""
    phase = draw(st.sampled_from(list(Phase)))
    golden = GOLDEN if phase in {Phase.VERIFYING, Phase.SHIFTING, Phase.LIVE} else None
    if phase is Phase.STARTING:
        golden = draw(st.sampled_from([None, GOLDEN]))
    checked = PASSED if phase in {Phase.SHIFTING, Phase.LIVE} else None
    if phase is Phase.VERIFYING:
        checked = draw(st.sampled_from([None, PASSED, WRONG]))
    wanted = revision(3, phase, golden=golden, verification=checked)
    live = 3 if phase is Phase.LIVE else draw(st.sampled_from([None, 2]))
    replicas = [
        replica(number, draw(st.sampled_from(list(ReplicaPhase))), index)
        for number in (1, 2, 3)
        for index in range(draw(st.integers(0, 2)))
    ]
    return situation(
        wanted,
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
    made = plan(now)
    assert plan(now) == made
    running = {r.revision for r in now.observation.replicas if r.service == "digits"}
    routed = {r.revision for r in now.observation.routes if r.service == "digits"}
    kept = {now.record.live} | ({3} if now.wanted.phase in ROLLING else set())
    for route in made.routes:
        assert route.revision == now.record.live or now.wanted.phase is Phase.SHIFTING
        assert route.weight == 100
    if made.transition in (Advance(3, Phase.SHIFTING), GoLive(3)):
        assert now.wanted.verification == PASSED
    if isinstance(made.transition, GoLive):
        assert routed == {3}
    assert not set(made.removals) & routed
    if now.record.deleting:
        assert (made.transition, made.placements, made.routes) == (None, (), ())
        assert made.forget == (not running and not routed)
    else:
        assert not set(made.removals) & kept
        assert not made.forget
        assert made.transition is not None or set(placed(made)) == kept - {None}
