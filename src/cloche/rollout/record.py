"""The rules of a service's record: pure functions from a record to the next one and its events.

The caller writes the new record over the version that it read, then the events. A rule that changes
nothing returns the same record and no event, so it can be applied again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import (
    Capacity,
    Cause,
    Event,
    EventKind,
    Outcome,
    Phase,
    Rollout,
    ServiceRecord,
    Standing,
    asked_for,
)
from cloche.errors import SupersededError
from cloche.refusals import being_deleted
from cloche.rollout import strategy, words

if TYPE_CHECKING:
    from cloche.artifacts import Consent, Operated, Question, Verification

CLOCHE = "cloche"
"""The author of events that no user asked for."""
MOST_ROLLOUTS = 200
"""Rollouts remembered per service; those that did not complete are forgotten first."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The record after a rule, and the events that tell of the change."""

    record: ServiceRecord
    events: tuple[Event, ...] = ()

    def then(self, other: Changed) -> Changed:
        """Return the record of `other`, a change of this record, and the events of both."""
        return Changed(other.record, self.events + other.events)


# ── requests of users ─────────────────────────────────────────────────────────────────────────


def begin(
    record: ServiceRecord,
    to: int,
    cause: Cause,
    *,
    by: str,
    at: str,
    what: str,
    verify: bool = True,
    accepted: tuple[Consent, ...] = (),
    questions: tuple[Question, ...] = (),
    detail: dict[str, Any] | None = None,
) -> Changed:
    """Begin a rollout to a revision; one under way is superseded. `what` is the event's sentence.

    `accepted` is what its author said yes to, `questions` what it was asked before.

    Raises UnavailableError `service.deleting` for a service that is being deleted.
    """
    if record.deleting:
        raise being_deleted(record.name)
    before = supersede(record, by=by, at=at)
    if before.record.live == to:  # it went live by being superseded
        return before.then(stay(before.record, by=by, at=at, cause=cause))
    kind = EventKind.ROLLED_BACK if cause is Cause.ROLLBACK else EventKind.DEPLOYED
    rollout = Rollout(
        to, before.record.live, cause, by, at, Phase.PENDING, at, verify=verify, accepted=accepted,
        capacity=record.operated.capacity or Capacity.SURGE,
    )  # fmt: skip
    told = {"accepted": [asked_for(question) for question in questions]} if questions else {}
    event = Event(at, record.name, to, kind, what, by, {**(detail or {}), **told})
    return before.then(Changed(_add(before.record, rollout), (event,)))


def stay(record: ServiceRecord, *, by: str, at: str, cause: Cause = Cause.DEPLOY) -> Changed:
    """Request the live revision again: a rollout under way ends, a failed one is history.

    Raises UnavailableError `service.deleting` for a service that is being deleted.
    """
    if record.deleting:
        raise being_deleted(record.name)
    latest = record.latest
    if record.live is None or (latest is not None and latest.ended and latest.to == record.live):
        return Changed(record)
    before, live = supersede(record, by=by, at=at), record.live
    rollout = Rollout(
        live, live, cause, by, at, Phase.ENDED, at,
        weight=strategy.ALL, outcome=Outcome.COMPLETED, ended_at=at,
    )  # fmt: skip
    what = words.asked_again(live)
    event = Event(at, record.name, live, EventKind.DEPLOYED, what, by)
    return before.then(Changed(_add(before.record, rollout), (event,)))


def retry(record: ServiceRecord, waiting: int, *, by: str, at: str) -> Changed:
    """Have replicas of the live revision that wait, or were given up, started at once."""
    if record.live is None or not waiting:
        return Changed(record)
    what = words.retried(record.live, waiting)
    event = Event(at, record.name, record.live, EventKind.RESTARTED, what, by)
    return Changed(replace(record, retried_at=at), (event,))


def operate(record: ServiceRecord, operated: Operated, *, by: str, at: str) -> Changed:
    """Change how a service is operated; None in `operated` leaves a value as it is."""
    after = operated.over(record.operated)
    if after == record.operated:
        return Changed(record)
    what = words.operated(record.name, record.operated, after)
    detail = {"before": asked_for(record.operated), "operated": asked_for(after)}
    event = Event(at, record.name, None, EventKind.SCALED, what, by, detail)
    return Changed(replace(record, operated=after), (event,))


def mark_deleting(record: ServiceRecord, *, by: str, at: str) -> Changed:
    """Record that a service is being deleted; its replicas are removed before its record."""
    if record.deleting:
        return Changed(record)
    before = supersede(record, by=by, at=at)
    event = Event(at, record.name, None, EventKind.DELETING, words.deleting(record.name), by)
    return before.then(Changed(replace(before.record, deleting=True), (event,)))


def supersede(record: ServiceRecord, *, by: str, at: str) -> Changed:
    """End the rollout under way because a later request takes over.

    A first revision whose traffic began to move goes live instead: it is verified, and to end it
    would leave its callers with nothing.
    """
    rollout = record.rollout
    if rollout is None:
        return Changed(record)
    if record.live is None and rollout.phase is Phase.SHIFTING:
        return complete(record, at=at)
    return _end(record, Outcome.SUPERSEDED, by=by, at=at)


# ── progress of a rollout ─────────────────────────────────────────────────────────────────────


def advance(record: ServiceRecord, phase: Phase, *, at: str, size: int = 0) -> Changed:
    """Move the rollout under way to a later phase; `size` live replicas are replaced from now."""
    rollout = record.rollout
    if rollout is None or rollout.phase is phase:
        return Changed(record)
    after = replace(rollout, phase=phase, since=at, size=size or rollout.size)
    if phase is Phase.SHIFTING:
        after = replace(after, step=1, weight=strategy.weight(rollout, 1))
    event = _phase_event(record.name, rollout, Standing(phase.value), by=CLOCHE, at=at)
    return Changed(_with(record, after), (event,))


def shift(record: ServiceRecord, step: int, *, at: str) -> Changed:
    """Move the traffic of the rollout under way to a step of its strategy."""
    rollout = record.rollout
    if rollout is None or rollout.step == step:
        return Changed(record)
    after = replace(rollout, step=step, weight=strategy.weight(rollout, step), since=at)
    what = words.shifted(rollout.to, after.weight)
    detail = {"step": step, "weight": after.weight}
    event = Event(at, record.name, rollout.to, EventKind.PHASE, what, CLOCHE, detail)
    return Changed(_with(record, after), (event,))


def judge(record: ServiceRecord, verification: Verification, *, begun: str, at: str) -> Changed:
    """Record the outcome of the golden request in the rollout that started at `begun`."""
    rollout = record.rollout
    if rollout is None or rollout.started_at != begun or rollout.phase is not Phase.VERIFYING:
        return Changed(record)
    what = words.verified(rollout.to, verification)
    detail = {"passed": verification.passed, "url": verification.url}
    event = Event(at, record.name, rollout.to, EventKind.VERIFIED, what, CLOCHE, detail)
    return Changed(_with(record, replace(rollout, verification=verification)), (event,))


def fail(record: ServiceRecord, failure: dict[str, Any], *, at: str) -> Changed:
    """End the rollout under way as failed; `failure` is the error object."""
    if record.rollout is None:
        return Changed(record)
    return _end(record, Outcome.FAILED, by=CLOCHE, at=at, failure=failure)


def complete(record: ServiceRecord, *, at: str) -> Changed:
    """Make the revision of the rollout under way the live one.

    Raises SupersededError if no rollout is under way.
    """
    rollout = record.rollout
    if rollout is None:
        what = f"The rollout of {record.name} ended meanwhile."
        raise SupersededError("rollout.superseded", what, where=record.name)
    events = []
    if record.live is not None and record.live != rollout.to:
        before = {"phase": Standing.RETIRED.value, "before": Standing.LIVE.value}
        retired = words.standing(record.live, Standing.RETIRED)
        events.append(Event(at, record.name, record.live, EventKind.PHASE, retired, CLOCHE, before))
    events.append(_phase_event(record.name, rollout, Standing.LIVE, by=CLOCHE, at=at))
    after = replace(
        rollout, phase=Phase.ENDED, since=at, outcome=Outcome.COMPLETED, ended_at=at,
        weight=strategy.ALL,
    )  # fmt: skip
    ended = replace(_with(record, after), live=rollout.to)
    if record.live != rollout.to:
        ended = replace(ended, restarted_at=None, retried_at=None)
    return Changed(ended, tuple(events))


def deleted(name: str, *, at: str) -> Event:
    """Return the event for a service whose deletion is complete."""
    return Event(at, name, None, EventKind.DELETED, words.deleted(name), CLOCHE)


# ── queries ───────────────────────────────────────────────────────────────────────────────────


def last_rollout_to(record: ServiceRecord, number: int) -> Rollout | None:
    """Return the last rollout to a revision; None if it is not remembered."""
    rollouts = reversed(record.rollouts)
    return next((rollout for rollout in rollouts if rollout.to == number), None)


def standing(record: ServiceRecord, number: int) -> Standing:
    """Return the current state of a revision."""
    rollout = record.rollout
    if rollout is not None and rollout.to == number:
        return Standing(rollout.phase.value)
    if record.live == number:
        return Standing.LIVE
    last = last_rollout_to(record, number)
    if last is None or last.outcome is None:
        return Standing.RETIRED
    return {
        Outcome.COMPLETED: Standing.RETIRED,
        Outcome.FAILED: Standing.FAILED,
        Outcome.SUPERSEDED: Standing.SUPERSEDED,
    }[last.outcome]


# ── inside ────────────────────────────────────────────────────────────────────────────────────


def _add(record: ServiceRecord, rollout: Rollout) -> ServiceRecord:
    rollouts = [*record.rollouts, rollout]
    if len(rollouts) > MOST_ROLLOUTS:
        incomplete = (each for each in rollouts if each.outcome is not Outcome.COMPLETED)
        oldest = next(incomplete, rollouts[0])
        rollouts.remove(rollouts[0] if oldest is rollout else oldest)
    return replace(record, rollouts=tuple(rollouts))


def _with(record: ServiceRecord, rollout: Rollout) -> ServiceRecord:
    return replace(record, rollouts=(*record.rollouts[:-1], rollout))


def _end(
    record: ServiceRecord,
    outcome: Outcome,
    *,
    by: str,
    at: str,
    failure: dict[str, Any] | None = None,
) -> Changed:
    rollout = record.rollouts[-1]
    after = replace(
        rollout, phase=Phase.ENDED, since=at, outcome=outcome, ended_at=at, failure=failure
    )
    event = _phase_event(
        record.name, rollout, Standing(outcome.value), by=by, at=at, failure=failure
    )
    return Changed(_with(record, after), (event,))


def _phase_event(
    service: str,
    rollout: Rollout,
    now: Standing,
    *,
    by: str,
    at: str,
    failure: dict[str, Any] | None = None,
) -> Event:
    detail = {"phase": now.value, "before": rollout.phase.value}
    what = words.standing(rollout.to, now, failure)
    return Event(at, service, rollout.to, EventKind.PHASE, what, by, detail)
