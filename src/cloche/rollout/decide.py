"""The state machine of a rollout, as a pure function.

    pending ─→ starting ─→ verifying ─→ shifting ─→ completed
                   └───────────┴────────────┴─────→ failed
    (any phase) ─ a later rollout ─→ superseded

`decide` compares the record of one service with the observation of it, and returns what to do:
either one transition, which is recorded before anything of the new phase is done, or what the whole
service should be. It keeps nothing between calls: after a crash, the same record gives the same
decision.

Two rules hold the promises to users. A revision gets traffic only in `shifting` and while it is
live, and enters `shifting` only with a passed golden request. Replicas of a revision are removed
only when the gateway is seen to send nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Phase, ReplicaRange
from cloche.artifacts.identity import registered_name
from cloche.rollout import capacity, failing, strategy
from cloche.rollout.warm import warm_revision
from cloche.targets import Desired, Placement, ReplicaPhase

if TYPE_CHECKING:
    from cloche.artifacts import Operated, Revision, Rollout
    from cloche.rollout.situation import Situation

ROLLING = frozenset({Phase.STARTING, Phase.VERIFYING, Phase.SHIFTING})
"""The phases in which the revision of a rollout has replicas."""


@dataclass(frozen=True, slots=True)
class Advance:
    """The rollout enters a later phase."""

    phase: Phase
    size: int = 0
    """How many live replicas it replaces from now on."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The traffic moves to the next step of the strategy."""

    step: int


@dataclass(frozen=True, slots=True)
class Fail:
    """The rollout failed; `failure` is its error object."""

    failure: dict[str, Any]
    replica: str | None = None
    """The replica whose log says why."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The revision of the rollout has all the traffic."""


Transition = Advance | Shift | Fail | Complete


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do for one service."""

    transition: Transition | None = None
    """To be recorded first; then decide again, since everything else belongs to the new phase."""
    desired: Desired | None = None
    """What the service should be; None if a transition comes first."""
    verify: bool = False
    """Whether to send the golden request to a ready replica of the rollout's revision."""
    forget: bool = False
    """Whether nothing of a deleted service is left, so that its record can be removed."""
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
    desired = _desired_service(situation)
    placed = {placement.revision for placement in desired.placements}
    leaving = {replica.revision for replica in situation.observation.replicas} - placed
    leaving -= _adopted(situation)
    unverified = (
        rollout is not None and rollout.phase is Phase.VERIFYING and not rollout.verification
    )
    return Decision(
        desired=desired,
        verify=unverified and rollout is not None and bool(situation.observation.ready(rollout.to)),
        settled=rollout is None
        and not leaving
        and dict(situation.observation.split) == dict(desired.split)
        and placed == _revisions_to_run(situation),
    )


def _delete(situation: Situation) -> Decision:
    """Remove the traffic, then the replicas, then the record."""
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
    if rollout.phase is Phase.PENDING and not _has_failed_replicas(situation, rollout):
        return Advance(Phase.STARTING, capacity.size(situation))
    if rollout.phase in ROLLING:
        failure = failing.failure(situation, rollout)
        if failure is not None:
            return Fail(*failure)
        transition = _next_transition(situation, rollout)
        if transition is not None:
            return transition
    timeout = failing.overdue(situation, rollout)
    return Fail(*timeout) if timeout is not None else None


def _has_failed_replicas(situation: Situation, rollout: Rollout) -> bool:
    """Return whether failed replicas of an earlier rollout to the revision are still there."""
    return any(
        replica.phase is ReplicaPhase.FAILED for replica in situation.observation.of(rollout.to)
    )


def _next_transition(situation: Situation, rollout: Rollout) -> Transition | None:
    """Return the transition that the rollout is ready for; None if it has to wait."""
    ready = len(situation.observation.ready(rollout.to))
    enough = ready >= _enough(situation)
    match rollout.phase:
        case Phase.STARTING if not rollout.verify:
            return Advance(Phase.SHIFTING) if enough else None
        case Phase.STARTING if ready:
            return Advance(Phase.VERIFYING)
        case Phase.VERIFYING:
            verified = rollout.verification is not None and rollout.verification.passed
            return Advance(Phase.SHIFTING) if verified and enough else None
        case Phase.SHIFTING if dict(situation.observation.split) == _split(situation):
            step = strategy.following(rollout)
            if step is None:
                return Complete()
            waits = rollout.paused or ready < capacity.enough(rollout)
            return None if waits else Shift(step)
    return None


def _enough(situation: Situation) -> int:
    """Return how many ready replicas take over: as many as now answer, if a range allows more."""
    rollout = situation.record.rollout
    if rollout is not None and rollout.size:
        return capacity.enough(rollout)
    live, wanted = situation.record.live, situation.record.operated.replica_range
    answering = 0 if live is None else len(situation.observation.ready(live))
    return max(1, wanted.minimum, min(answering, wanted.maximum))


def _desired_service(situation: Situation) -> Desired:
    """Return what the service should be; a revision that still gets traffic keeps its replicas."""
    numbers = _revisions_to_run(situation) | set(situation.observation.split)
    record, counts = situation.record, capacity.counts(situation)
    placements = (
        replace(
            _counted(placement(situation.revisions[number], record.operated), counts.get(number)),
            restarted_at=record.restarted_at if number == record.live else None,
            returns=capacity.displaced(record) if number == record.live else 0,
            retried_at=record.retried_at if number == record.live else None,
            proven=number == record.live,
        )
        for number in sorted(numbers)
        if number in situation.revisions
    )
    return Desired(record.name, tuple(placements), _split(situation), record.operated)


def _counted(placed: Placement, count: int | None) -> Placement:
    """Return a placement with a number of replicas that nothing else changes, if one is given."""
    if count is None:
        return placed
    return replace(placed, replicas=ReplicaRange.exactly(count), exact=True)


def _revisions_to_run(situation: Situation) -> set[int]:
    """Return the revisions that should run: the live, the warm one, and that of the rollout."""
    record, rollout = situation.record, situation.record.rollout
    warm = warm_revision(record, situation.now)
    kept = (record.live, None if warm in _adopted(situation) else warm)
    numbers = {number for number in kept if number is not None and number in situation.revisions}
    if rollout is not None and rollout.phase in ROLLING:
        numbers.add(rollout.to)
    return numbers


def _adopted(situation: Situation) -> set[int]:
    """Return the revisions that were made by hand: they run on without a placement."""
    revisions = situation.revisions.items()
    return {number for number, each in revisions if each.deployment.adopted is not None}


def _split(situation: Situation) -> dict[int, int]:
    """Return the percent of the traffic that each revision should get."""
    record, rollout = situation.record, situation.record.rollout
    live = {} if record.live is None else {record.live: strategy.ALL}
    if rollout is None or rollout.phase is not Phase.SHIFTING or rollout.to == record.live:
        return live
    rest = strategy.ALL - rollout.weight
    if record.live is None or rest <= 0:
        return {rollout.to: strategy.ALL}
    return {record.live: rest, rollout.to: rollout.weight}


def placement(revision: Revision, operated: Operated) -> Placement:
    """Return the placement of a revision of a service that is operated like `operated`."""
    deployment = revision.deployment
    registered = registered_name(deployment.main.snapshot)
    locks = deployment.installed_locks
    known = registered is None or registered in deployment.repository.models
    return Placement(
        service=revision.service,
        revision=revision.number,
        repository=deployment.repository,
        replicas=operated.replica_range,
        start_limit=operated.start_limit,
        schedule_limit=operated.schedule_timeout,
        resources=deployment.served.resources,
        lock=locks[0] if locks else None,
        golden=deployment.golden,
        warm_up=deployment.served.server.warmup is not False,
        probe=operated.probe is not False,
        request_limit=operated.timeout,
        runtime=deployment.served.runtime,
        sandbox=deployment.served.sandbox,
        image=deployment.image,
        pod=deployment.pod,
        aliases=() if registered is None or known else (registered,),
        adopted=deployment.adopted,
    )
