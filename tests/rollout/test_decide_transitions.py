"""The rollout's state machine: each transition, each failure, and what is none."""

from __future__ import annotations

import pytest
from rollout_situations import (
    FAILED,
    READY,
    STARTING,
    WRONG,
    live_one,
    paused,
    pending,
    refused,
    replica,
    rollout,
    shifting,
    situation,
    starting,
    unasked,
    unreachable,
    verified,
    verifying,
)

from cloche.artifacts import Outcome, Phase
from cloche.rollout.decide import Advance, Complete, Fail, decide
from cloche.rollout.situation import Situation
from cloche.targets import ReplicaPhase

TO_STARTING = Advance(Phase.STARTING)
TO_VERIFYING = Advance(Phase.VERIFYING)
TO_SHIFTING = Advance(Phase.SHIFTING)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (situation(pending), TO_STARTING),
        (situation(pending, replica(2, FAILED)), None),
        (situation(pending, replica(1, FAILED), live=1), TO_STARTING),
        (situation(starting), None),
        (situation(starting, replica(2, STARTING)), None),
        (situation(starting, replica(2)), TO_VERIFYING),
        (situation(starting, replica(2), replica(2, STARTING, 1), count=2),
         TO_VERIFYING),
        (situation(starting, replica(1), live=1), None),
        (situation(unasked, replica(2)), TO_SHIFTING),
        (situation(unasked, replica(2), replica(2, STARTING, 1), count=2), None),
        (situation(verifying, replica(2)), None),
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
        (
            situation(starting, replica(2, STARTING), after=101),
            "rollout.timeout",
            "digits-r2-0 is starting",
        ),
        (situation(starting, after=101), "rollout.timeout", "no replica"),
        (
            situation(verifying, replica(2), after=101),
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
        situation(starting, replica(1, FAILED), live=1),
    ],
    ids=["in time", "may pass", "nobody was there", "live", "another's replica"],
)
def test_no_failure(now: Situation) -> None:
    assert decide(now).transition is None


def test_progress_comes_before_a_limit() -> None:
    late = situation(starting, replica(2), after=10_000)
    assert decide(late).transition == TO_VERIFYING
    assert decide(situation(shifting, replica(2), routed=2, after=10_000)).transition == Complete()
