"""The way from one revision to the next, as a pure function.

    pending ─→ starting ─→ verifying ─→ shifting ─→ completed
                   └───────────┴────────────┴─────→ failed
    (any phase) ─ a later rollout ─→ superseded

`decide` looks at what is recorded and what is observed, and says what to do for one service: at
most one transition, which is recorded before anything of the new phase is done, and what the whole
service should then be. It keeps nothing between calls: whoever calls it again after a crash, with
the same record, gets the same answer.

Two rules hold the promises to users: a revision gets traffic only in `shifting` and when it is
live, and it comes to `shifting` only with a passed golden request; replicas of a revision are
removed only once the gateway is seen to send nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Phase
from cloche.rollout import failing, strategy
from cloche.targets import Desired, Placement, ReplicaPhase

if TYPE_CHECKING:
    from cloche.artifacts import Operated, Revision, Rollout
    from cloche.rollout.situation import Situation

ROLLING = frozenset({Phase.STARTING, Phase.VERIFYING, Phase.SHIFTING})
"""The phases in which the revision of a rollout has replicas."""


@dataclass(frozen=True, slots=True)
class Advance:
    """The rollout comes to a later phase."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Shift:
    """The traffic comes to the next step of the strategy."""

    step: int


@dataclass(frozen=True, slots=True)
class Fail:
    """The rollout has failed; `failure` is its error object."""

    failure: dict[str, Any]
    replica: str | None = None
    """The replica whose log says why."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The revision of the rollout has all the traffic now."""


Transition = Advance | Shift | Fail | Complete


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do for one service."""

    transition: Transition | None = None
    """To be recorded first; the rest is of the phase after it, so decide again then."""
    desired: Desired | None = None
    """What the service should be; None where a transition comes first."""
    make_golden: bool = False
    verify: bool = False
    """Whether to ask a ready replica of the rollout's revision its golden request."""
    forget: bool = False
    """Nothing of a deleted service is left: its record can go."""
    settled: bool = True
    """Whether there is nothing to wait for."""


def decide(situation: Situation) -> Decision:
    """Return what to do for a service now."""
    if situation.record.deleting:
        return _delete(situation)
    rollout = situation.record.rollout
    transition = _transition(situation, rollout) if rollout is not None else None
    if transition is not None:
        return Decision(transition=transition, settled=False)
    desired = _desired(situation)
    placed = {placement.revision for placement in desired.placements}
    leaving = {replica.revision for replica in situation.observation.replicas} - placed
    rolling = rollout is not None and rollout.phase in ROLLING
    asked = rollout is not None and rollout.phase is Phase.VERIFYING and not rollout.verification
    return Decision(
        desired=desired,
        make_golden=rolling and situation.attached.golden is None,
        verify=asked and rollout is not None and bool(situation.ready(rollout.to)),
        settled=rollout is None
        and not leaving
        and dict(situation.observation.split) == dict(desired.split)
        and placed == _wanted(situation),
    )


def _delete(situation: Situation) -> Decision:
    """Take the traffic away, then the replicas, then the record."""
    routed = set(situation.observation.split)
    placements = tuple(
        placement(revision, situation.record.operated)
        for number, revision in sorted(situation.revisions.items())
        if number in routed
    )
    return Decision(
        desired=Desired(situation.record.name, placements, {}, situation.record.operated),
        forget=situation.observation.empty,
        settled=False,
    )


def _transition(situation: Situation, rollout: Rollout) -> Transition | None:
    if rollout.phase is Phase.PENDING and not _left_over(situation, rollout):
        return Advance(Phase.STARTING)
    if rollout.phase in ROLLING:
        failed = failing.failure(situation, rollout)
        if failed is not None:
            return Fail(*failed)
        following = _following(situation, rollout)
        if following is not None:
            return following
    late = failing.overdue(situation, rollout)
    return Fail(*late) if late is not None else None


def _left_over(situation: Situation, rollout: Rollout) -> bool:
    """Return whether failed replicas of an earlier rollout to the revision are still there."""
    return any(one.phase is ReplicaPhase.FAILED for one in situation.of(rollout.to))


def _following(situation: Situation, rollout: Rollout) -> Transition | None:
    """Return the step that the rollout is ready for."""
    ready = len(situation.ready(rollout.to))
    enough = ready >= max(1, situation.record.operated.replica_range.minimum)
    match rollout.phase:
        case Phase.STARTING if not rollout.verify:
            return Advance(Phase.SHIFTING) if enough else None
        case Phase.STARTING if ready and situation.attached.golden is not None:
            return Advance(Phase.VERIFYING)
        case Phase.VERIFYING:
            verified = rollout.verification is not None and rollout.verification.passed
            return Advance(Phase.SHIFTING) if verified and enough else None
        case Phase.SHIFTING if dict(situation.observation.split) == _split(situation):
            following = strategy.following(rollout.step)
            if following is None:
                return Complete()
            return None if rollout.paused else Shift(following)
    return None


def _desired(situation: Situation) -> Desired:
    """Return the service as it should be: what has or gets the traffic, and what still has some."""
    numbers = _wanted(situation) | set(situation.observation.split)
    placements = tuple(
        placement(situation.revisions[number], situation.record.operated)
        for number in sorted(numbers)
        if number in situation.revisions
    )
    record = situation.record
    return Desired(record.name, placements, _split(situation), record.operated)


def _wanted(situation: Situation) -> set[int]:
    """Return the revisions that should run: the live one and the one on its way."""
    record, rollout = situation.record, situation.record.rollout
    numbers = {record.live} if record.live is not None else set()
    if rollout is not None and rollout.phase in ROLLING:
        numbers.add(rollout.to)
    return numbers


def _split(situation: Situation) -> dict[int, int]:
    """Return the percent of the traffic that each revision should have."""
    record, rollout = situation.record, situation.record.rollout
    live = {} if record.live is None else {record.live: strategy.ALL}
    if rollout is None or rollout.phase is not Phase.SHIFTING or rollout.to == record.live:
        return live
    rest = strategy.ALL - rollout.weight
    if record.live is None or rest <= 0:
        return {rollout.to: strategy.ALL}
    return {record.live: rest, rollout.to: rollout.weight}


def placement(revision: Revision, operated: Operated) -> Placement:
    """Return a revision as it is placed, operated as its service is."""
    deployment = revision.deployment
    return Placement(
        service=revision.service,
        revision=revision.number,
        repository=deployment.repository,
        replicas=operated.replica_range,
        start_limit=operated.start_limit,
        resources=deployment.served.resources,
        lock=deployment.main.lock,
    )
