"""Revisions that were made by hand: live at once, left alone, and never removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rollout_situations import replica, revision, rollout, situation

from cloche import testing
from cloche.artifacts import (
    Adopted,
    Cause,
    Deployment,
    EventKind,
    Expose,
    Exposure,
    Front,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
)
from cloche.errors import StaleError, UsageError
from cloche.rollout import decide as deciding
from cloche.rollout.decide import decide
from cloche.rollout.situation import Situation
from cloche.testing import START

FRONT = Front("inference", {"app": "triton"})
ADOPTED = Adopted("triton", "0-1", "sha256:0", 2, ("triton:1",))


def by_hand() -> Deployment:
    """Return what is recorded of a Deployment that was made by hand."""
    made = testing.deployment("digits")
    snapshot = replace(made.main.snapshot, digest="", files=(), source="adopted")
    operated = Operated(replicas=ReplicaRange.exactly(2), front=FRONT)
    return replace(
        made, members=(replace(made.main, snapshot=snapshot),), golden=None, adopted=ADOPTED,
        operated=operated,
    )  # fmt: skip


def with_adopted(given: Situation) -> Situation:
    """Return a situation whose first revision was adopted."""
    first = replace(revision(1), deployment=by_hand())
    return replace(given, revisions={**given.revisions, 1: first})


def test_what_runs_is_the_live_revision_at_once() -> None:
    engine = testing.engine()
    assert engine.adopt(by_hand()) == 1
    (moved,) = engine.history("digits")["rollouts"]
    assert (moved["cause"], moved["outcome"], moved["from"]) == (Cause.ADOPT, "completed", None)
    (event,) = (each for each in engine.events("digits") if each.kind is EventKind.ADOPTED)
    assert event.by == "test@here"
    status = engine.service("digits")
    assert (status["live"], status["phase"]) == (1, "live")
    assert (status["model"]["digest"], status["model"]["format"]) == (None, None)
    with pytest.raises(StaleError):
        engine.adopt(by_hand())


def test_its_pods_are_restarted_by_whoever_made_them() -> None:
    engine = testing.engine()
    engine.adopt(by_hand())
    with pytest.raises(UsageError, match="which Cloche leaves as it is") as caught:
        engine.restart("digits")
    assert "kubectl rollout restart deployment/triton" in (caught.value.hint or "")


def test_it_stays_what_it_is_through_the_deploys_that_follow() -> None:
    after = testing.deployment("digits").operated.over(by_hand().operated)
    assert after.front == FRONT
    assert (
        replace(after, exposure=Exposure(Expose.GATEWAY, "a/b", "c")).reached.expose == "clusterip"
    )


def test_it_runs_on_without_a_placement_once_another_is_live() -> None:
    """And nothing is waited for; it is not among those that are kept warm for a while."""
    moved = rollout(Phase.ENDED, to=2, live=1, outcome=Outcome.COMPLETED)
    moved = replace(moved, ended_at=START.isoformat())
    given = situation(moved, replica(1), replica(2), live=2, routed=2)
    record = replace(given.record, operated=replace(given.record.operated, warm=600.0))
    given = replace(given, record=record)
    made = decide(given)
    assert made.desired is not None
    assert [each.revision for each in made.desired.placements] == [1, 2]
    made = decide(with_adopted(given))
    assert made.desired is not None
    assert [each.revision for each in made.desired.placements] == [2]
    assert made.settled
    later = replace(given, now=given.now + timedelta(seconds=601))
    assert not decide(later).settled
    assert decide(with_adopted(later)).settled


def test_its_placement_says_so() -> None:
    made = decide(with_adopted(situation(None, replica(1), live=1, routed=1)))
    assert made.desired is not None
    assert [each.adopted for each in made.desired.placements] == [ADOPTED]


def test_another_deployment_is_another_revision() -> None:
    other = replace(by_hand(), adopted=replace(ADOPTED, uid="0-2"))
    assert by_hand().digest != other.digest
    assert deciding.placement(revision(2), Operated()).adopted is None
