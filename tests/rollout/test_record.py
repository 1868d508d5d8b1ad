"""The rules of a service's record: each from one record to the next, with what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloche.artifacts import (
    Cause,
    EventKind,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    Rollout,
    ServiceRecord,
    Standing,
)
from cloche.errors import SupersededError, UnavailableError
from cloche.rollout import record as rules
from cloche.rollout.keeping import kept_revisions
from cloche.testing import verification

AT, LATER = "2026-11-01T12:00:00.000+00:00", "2026-11-01T12:01:00.000+00:00"
EMPTY = ServiceRecord("digits", Operated())


def begun(record: ServiceRecord = EMPTY, to: int = 1, cause: Cause = Cause.DEPLOY) -> ServiceRecord:
    return rules.begin(record, to, cause, by="me@here", at=AT, what="Asked.").record


def at_phase(record: ServiceRecord, phase: Phase) -> ServiceRecord:
    for each in (Phase.STARTING, Phase.VERIFYING, Phase.SHIFTING):
        record = rules.advance(record, each, at=AT).record
        if each is phase:
            break
    return record


def live(*numbers: int, cause: Cause = Cause.DEPLOY) -> ServiceRecord:
    """Return a record whose revisions went live one after the other."""
    record = EMPTY
    for number in numbers:
        record = at_phase(begun(record, number, cause), Phase.SHIFTING)
        record = rules.complete(record, at=AT).record
    return record


def told(changed: rules.Changed) -> list[tuple[str, int | None, str]]:
    """Return kind, revision and the new phase of each event."""
    return [(one.kind, one.revision, one.detail.get("phase", "")) for one in changed.events]


def test_a_rollout_begins_pending_from_what_is_live() -> None:
    changed = rules.begin(live(1), 2, Cause.DEPLOY, by="me@here", at=LATER, what="Asked.")
    assert changed.record.rollout == Rollout(
        2, 1, Cause.DEPLOY, "me@here", LATER, Phase.PENDING, LATER
    )
    assert changed.record.live == 1
    assert told(changed) == [("deployed", 2, "")]
    back = rules.begin(live(1, 2), 1, Cause.ROLLBACK, by="me", at=AT, what="Back.", verify=False)
    assert told(back) == [("rolled_back", 1, "")]
    assert back.record.rollout is not None
    assert not back.record.rollout.verify


def test_phases_follow_each_other_and_the_last_one_moves_the_traffic() -> None:
    record = begun()
    for phase in (Phase.STARTING, Phase.VERIFYING, Phase.SHIFTING):
        changed = rules.advance(record, phase, at=LATER)
        record = changed.record
        assert record.rollout is not None
        assert (record.rollout.phase, record.rollout.since) == (phase, LATER)
        assert told(changed) == [("phase", 1, phase.value)]
        assert rules.advance(record, phase, at=LATER) == rules.Changed(record)
    assert record.rollout is not None
    assert (record.rollout.step, record.rollout.weight) == (1, 100)
    done = rules.complete(record, at=LATER)
    assert done.record.live == 1
    assert done.record.rollout is None
    assert done.record.latest is not None
    assert done.record.latest.outcome is Outcome.COMPLETED
    assert told(done) == [("phase", 1, "live")]
    with pytest.raises(SupersededError):
        rules.complete(done.record, at=LATER)


def test_who_goes_live_retires_who_was() -> None:
    changed = rules.complete(at_phase(begun(live(1), 2), Phase.SHIFTING), at=LATER)
    assert told(changed) == [("phase", 1, "retired"), ("phase", 2, "live")]
    assert [rules.standing(changed.record, number) for number in (1, 2)] == ["retired", "live"]


def test_a_later_rollout_supersedes_one_under_way() -> None:
    changed = rules.begin(begun(live(1), 2), 3, Cause.DEPLOY, by="me", at=LATER, what="Asked.")
    assert told(changed) == [("phase", 2, "superseded"), ("deployed", 3, "")]
    assert [one.outcome for one in changed.record.rollouts] == [
        Outcome.COMPLETED, Outcome.SUPERSEDED, None,
    ]  # fmt: skip
    assert rules.standing(changed.record, 2) is Standing.SUPERSEDED


def test_a_first_revision_that_has_traffic_goes_live_when_it_is_superseded() -> None:
    shifting = at_phase(begun(), Phase.SHIFTING)
    changed = rules.begin(shifting, 2, Cause.DEPLOY, by="me", at=LATER, what="Asked.")
    assert changed.record.live == 1
    assert told(changed) == [("phase", 1, "live"), ("deployed", 2, "")]
    verifying = at_phase(begun(), Phase.VERIFYING)
    changed = rules.begin(verifying, 2, Cause.DEPLOY, by="me", at=LATER, what="Asked.")
    assert changed.record.live is None
    same = rules.begin(shifting, 1, Cause.ROLLBACK, by="me", at=LATER, what="Asked.")
    assert (same.record.live, same.record.rollout) == (1, None)


def test_asking_for_what_is_live_ends_a_rollout_and_makes_a_failed_one_history() -> None:
    under_way = rules.stay(begun(live(1), 2), by="me", at=LATER)
    assert told(under_way) == [("phase", 2, "superseded"), ("deployed", 1, "")]
    assert under_way.record.rollout is None
    assert under_way.record.latest is not None
    assert (under_way.record.latest.to, under_way.record.latest.outcome) == (1, "completed")
    failed = rules.fail(begun(live(1), 2), {"what": "It broke."}, at=AT).record
    after = rules.stay(failed, by="me", at=LATER)
    assert told(after) == [("deployed", 1, "")]
    assert rules.standing(after.record, 2) is Standing.FAILED
    assert rules.stay(after.record, by="me", at=LATER) == rules.Changed(after.record)
    assert rules.stay(EMPTY, by="me", at=LATER) == rules.Changed(EMPTY)


def test_a_failure_is_kept_with_its_reason() -> None:
    failure = {"code": "x", "what": "It broke.", "log": ["line"]}
    changed = rules.fail(begun(live(1), 2), failure, at=LATER)
    assert changed.record.live == 1
    assert changed.record.latest is not None
    assert (changed.record.latest.outcome, changed.record.latest.failure) == ("failed", failure)
    assert told(changed) == [("phase", 2, "failed")]
    assert "It broke." in changed.events[0].what
    assert rules.fail(changed.record, failure, at=LATER) == rules.Changed(changed.record)


@pytest.mark.parametrize("passed", [True, False])
def test_an_outcome_counts_only_for_the_rollout_that_asked(passed: bool) -> None:
    outcome, verifying = verification(passed=passed), at_phase(begun(), Phase.VERIFYING)
    changed = rules.judge(verifying, outcome, begun=AT, at=LATER)
    assert changed.record.rollout is not None
    assert changed.record.rollout.verification == outcome
    assert [(one.kind, one.detail["passed"]) for one in changed.events] == [("verified", passed)]
    for other in (begun(), live(1), EMPTY, at_phase(begun(), Phase.SHIFTING)):
        assert rules.judge(other, outcome, begun=AT, at=LATER) == rules.Changed(other)
    late = rules.judge(verifying, outcome, begun="2020", at=LATER)
    assert late == rules.Changed(verifying)


def test_what_is_not_asked_for_stays_as_it_is_operated() -> None:
    three = Operated(replicas=ReplicaRange.exactly(3))
    changed = rules.operate(EMPTY, three, by="me", at=AT)
    assert changed.record.operated == three
    assert [(one.kind, one.by) for one in changed.events] == [("scaled", "me")]
    assert "from 1 to 3 replicas" in changed.events[0].what
    more = rules.operate(changed.record, Operated(keep=2, start_timeout=5), by="me", at=AT)
    assert more.record.operated == Operated(ReplicaRange(3, 3), 5, 2)
    assert rules.operate(more.record, three, by="me", at=AT) == rules.Changed(more.record)
    assert rules.operate(EMPTY, Operated(), by="me", at=AT) == rules.Changed(EMPTY)


def test_a_service_that_goes_takes_no_rollout() -> None:
    changed = rules.mark_deleting(begun(live(1), 2), by="me", at=LATER)
    assert told(changed) == [("phase", 2, "superseded"), ("deleting", None, "")]
    gone = changed.record
    assert gone.deleting
    assert rules.mark_deleting(gone, by="me", at=LATER) == rules.Changed(gone)
    for refused in (
        lambda: rules.begin(gone, 3, Cause.DEPLOY, by="me", at=AT, what=""),
        lambda: rules.stay(gone, by="me", at=AT),
    ):
        with pytest.raises(UnavailableError, match="being deleted"):
            refused()
    assert rules.deleted("digits", at=AT).kind is EventKind.DELETED


def test_of_many_rollouts_those_that_completed_are_remembered_the_longest() -> None:
    record = live(1, 2)
    for number in range(3, 3 + 2 * rules.MOST_ROLLOUTS):
        record = rules.fail(begun(record, number), {"what": "No."}, at=AT).record
    assert len(record.rollouts) == rules.MOST_ROLLOUTS
    assert [one.to for one in record.rollouts[:2]] == [1, 2]
    assert rules.standing(record, 2) is Standing.LIVE
    assert rules.standing(record, 1) is Standing.RETIRED
    assert rules.standing(record, 3) is Standing.RETIRED  # it is no longer known what it was


@pytest.mark.parametrize(
    ("record", "numbers"),
    [
        (EMPTY, set()),
        (begun(), {1}),
        (live(1, 2, 3), {2, 3}),
        (begun(live(1, 2, 3), 4), {2, 3, 4}),
        (rules.fail(begun(live(1, 2, 3), 4), {"what": ""}, at=AT).record, {2, 3, 4}),
        (rules.fail(begun(begun(live(1, 2, 3), 4), 5), {"what": ""}, at=AT).record, {2, 3, 5}),
        (live(1, 2, 3, 1), {1, 3}),
    ],
    ids=["none", "first", "live", "rolling", "failed", "two failed", "back"],
)
def test_what_is_kept_is_what_was_live_last(record: ServiceRecord, numbers: set[int]) -> None:
    assert kept_revisions(replace(record, operated=Operated(keep=2))) == numbers
