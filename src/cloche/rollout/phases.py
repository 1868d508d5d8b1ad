"""The way from one revision to the next, as a pure function.

    pending ─→ starting ─→ verifying ─→ shifting ─→ live ─→ retired
                   └───────────┴────────────┴─────→ failed
    (any phase before live) ─ a later deploy ─→ superseded

`plan` looks at what is recorded and what is observed, and says what to do for one service: at most
one transition, which is recorded before anything of the new phase is done, and what should then
run, be routed and be removed. It keeps nothing between calls: whoever calls it again after a crash,
with the same record, gets the same answer.

Two rules hold the promises to users: a revision is routed only in `shifting` and `live`, and it
comes to `shifting` only with a passed verification; replicas of a revision are removed only once
the gateway is seen to send nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ModelRepository, Phase, Revision, Verification
from cloche.errors import ClocheError
from cloche.targets.target import Observation, Placement, Replica, ReplicaPhase, Route

if TYPE_CHECKING:
    from cloche.state.state import ServiceRecord

ROLLING = frozenset({Phase.STARTING, Phase.VERIFYING, Phase.SHIFTING})
"""The phases before `live` in which a revision has replicas."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a revision may stay in a phase, in seconds, before it fails."""

    starting: float = 900.0
    verifying: float = 900.0
    shifting: float = 60.0

    def of(self, phase: Phase) -> float | None:
        """Return the limit of a phase; None where it has none."""
        limits = {
            Phase.STARTING: self.starting,
            Phase.VERIFYING: self.verifying,
            Phase.SHIFTING: self.shifting,
        }
        return limits.get(phase)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that decides what to do for one service now."""

    record: ServiceRecord
    wanted: Revision
    live: Revision | None
    observation: Observation
    now: datetime
    resumed: datetime
    """When this control plane began: no limit runs while there was none."""
    trouble: ClocheError | None = None
    """What went wrong with the wanted revision since: its placement, golden request or check."""
    limits: Limits = Limits()

    @property
    def replicas(self) -> int:
        """Return how many replicas of a revision should run."""
        return replicas_of(self.record.operated)


@dataclass(frozen=True, slots=True)
class Advance:
    """The wanted revision comes to the next phase."""

    number: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class Fail:
    """The wanted revision has failed; `failure` is its error object."""

    number: int
    failure: dict[str, Any]
    replica: str | None = None
    """The replica whose log says why."""


@dataclass(frozen=True, slots=True)
class GoLive:
    """The wanted revision has the traffic now, and the one before it is retired."""

    number: int


Transition = Advance | Fail | GoLive


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one service."""

    transition: Transition | None = None
    """To be recorded first; the rest is of the phase after it, so plan again then."""
    placements: tuple[Placement, ...] = ()
    routes: tuple[Route, ...] = ()
    removals: tuple[int, ...] = ()
    """Revisions whose replicas are to be drained and stopped."""
    make_golden: bool = False
    verify_at: str | None = None
    """Base URL of the replica that the golden request goes to."""
    forget: bool = False
    """Nothing of a deleted service is left: its records can go."""
    settled: bool = True
    """Whether there is nothing to wait for."""


def replicas_of(operated: dict[str, Any]) -> int:
    """Return the number of replicas in the operated part of a spec."""
    return int(operated.get("replicas", 1))


def plan(situation: Situation) -> Plan:
    """Return what to do for a service now."""
    if situation.record.deleting:
        return _plan_deletion(situation)
    transition = _transition(situation)
    if transition is not None:
        return Plan(transition=transition, routes=_routes(situation), settled=False)
    kept = _kept(situation)
    routes = _routes(situation)
    running = _observed(situation)
    removals = tuple(sorted(running - {revision.number for revision in kept}))
    routed = _routed(situation)
    wanted = situation.wanted
    unverified = wanted.phase is Phase.VERIFYING and wanted.verification is None
    return Plan(
        placements=tuple(_placement(situation, revision) for revision in kept),
        routes=routes,
        removals=tuple(number for number in removals if number not in routed),
        make_golden=wanted.phase in ROLLING and wanted.golden is None,
        verify_at=_first_url(_ready(situation, wanted.number)) if unverified else None,
        settled=wanted.phase.ended and not removals and routed == {r.revision for r in routes},
    )


def _plan_deletion(situation: Situation) -> Plan:
    """Take the routes away, then the replicas, then the records."""
    running, routed = _observed(situation), _routed(situation)
    known = {situation.wanted.number, situation.record.live or situation.wanted.number}
    return Plan(
        removals=tuple(sorted((running | known) - routed)),
        forget=not running and not routed,
        settled=False,
    )


def _transition(situation: Situation) -> Transition | None:
    wanted = situation.wanted
    if wanted.phase is Phase.PENDING:
        return Advance(wanted.number, Phase.STARTING)
    if wanted.phase not in ROLLING:
        return None
    failed = _failure(situation)
    if failed is not None:
        return failed
    following = _following(situation)
    if following is not None:
        return following
    return _overdue(situation)


def _following(situation: Situation) -> Transition | None:
    """Return the step that the wanted revision is ready for."""
    wanted = situation.wanted
    ready = _ready(situation, wanted.number)
    if wanted.phase is Phase.STARTING and ready and wanted.golden is not None:
        return Advance(wanted.number, Phase.VERIFYING)
    verified = wanted.verification is not None and wanted.verification.passed
    if wanted.phase is Phase.VERIFYING and verified and len(ready) >= situation.replicas:
        return Advance(wanted.number, Phase.SHIFTING)
    if wanted.phase is Phase.SHIFTING and _routed(situation) == {wanted.number}:
        return GoLive(wanted.number)
    return None


def _failure(situation: Situation) -> Fail | None:
    """Return why the wanted revision can never go live, if so."""
    wanted, trouble = situation.wanted, situation.trouble
    for replica in situation.observation.replicas:
        if _is_of(replica, wanted) and replica.phase is ReplicaPhase.FAILED:
            return Fail(wanted.number, _failed_replica(replica), replica.id)
    if wanted.verification is not None and not wanted.verification.passed:
        return Fail(wanted.number, _failed_verification(situation, wanted.verification))
    if trouble is not None and not trouble.retriable:
        return Fail(wanted.number, trouble.to_dict())
    return None


def _failed_replica(replica: Replica) -> dict[str, Any]:
    error = ClocheError(
        "rollout.replica",
        f"A replica did not come up: {replica.detail or 'it ended again and again'}",
        where=replica.id,
        hint="The last lines of its log say why; correct the model or its spec and deploy again.",
    )
    return {**error.to_dict(), "log": list(replica.last_log)}


def _failed_verification(situation: Situation, verification: Verification) -> dict[str, Any]:
    wanted, live = situation.wanted, situation.record.live
    detail = verification.detail or "the answer is not the expected one"
    hint = "Correct the model or its spec and deploy again."
    if live is not None:
        hint = f"Revision {live} is live as before. {hint}"
    what = f"The golden request failed: {detail}"
    return ClocheError(
        "rollout.verification", what, where=f"{wanted.service} revision {wanted.number}", hint=hint
    ).to_dict()


def _overdue(situation: Situation) -> Fail | None:
    """Return the failure of a revision that stays too long in its phase."""
    wanted = situation.wanted
    limit = situation.limits.of(wanted.phase)
    since = max(datetime.fromisoformat(wanted.phase_since), situation.resumed)
    if limit is None or (situation.now - since).total_seconds() < limit:
        return None
    if situation.trouble is not None:
        return Fail(wanted.number, situation.trouble.to_dict())
    late, why = _waiting_for(situation)
    error = ClocheError(
        "rollout.timeout",
        f"Revision {wanted.number} was {wanted.phase.value} for more than {limit:.0f} s: {why}",
        where=f"{wanted.service} revision {wanted.number}",
        hint=_where_to_look(wanted),
    )
    return Fail(wanted.number, error.to_dict(), late)


def _where_to_look(wanted: Revision) -> str:
    if wanted.phase is Phase.SHIFTING:
        return "logs/gateway.log in CLOCHE_HOME says what the gateway does; deploy again."
    return f"See `cloche logs {wanted.service} --revision {wanted.number}` and deploy again."


def _waiting_for(situation: Situation) -> tuple[str | None, str]:
    """Return the replica and the reason that a revision waits for."""
    wanted, gateway = situation.wanted, situation.observation.gateway
    if wanted.phase is Phase.SHIFTING:
        return None, f"the gateway did not take its route. {gateway.detail or ''}".strip()
    if wanted.golden is None:
        return None, "its golden request was not made."
    mine = [r for r in situation.observation.replicas if _is_of(r, wanted)]
    late = next((replica for replica in mine if replica.phase is not ReplicaPhase.READY), None)
    if late is None:
        return None, "its golden request was not answered." if mine else "it has no replica."
    return late.id, f"{late.id} is {late.phase.value}. {late.detail or ''}".strip()


def _kept(situation: Situation) -> tuple[Revision, ...]:
    """Return the revisions whose replicas should run: the live one and the one on its way."""
    kept = [situation.live] if situation.live is not None else []
    if situation.wanted.phase in ROLLING:
        kept.append(situation.wanted)
    return tuple(kept)


def _routes(situation: Situation) -> tuple[Route, ...]:
    """Return the routes that a service should have: all to one revision, or none."""
    if situation.wanted.phase is Phase.SHIFTING:
        return (Route(situation.record.name, situation.wanted.number, 100),)
    if situation.record.live is not None:
        return (Route(situation.record.name, situation.record.live, 100),)
    return ()


def _placement(situation: Situation, revision: Revision) -> Placement:
    repository: ModelRepository = revision.deployment.repository
    return Placement(revision.service, revision.number, repository, situation.replicas)


def _observed(situation: Situation) -> set[int]:
    """Return the revisions of which something runs."""
    name = situation.record.name
    return {r.revision for r in situation.observation.replicas if r.service == name}


def _routed(situation: Situation) -> set[int]:
    """Return the revisions that the gateway is seen to send requests to."""
    name = situation.record.name
    return {r.revision for r in situation.observation.routes if r.service == name}


def _ready(situation: Situation, number: int) -> tuple[Replica, ...]:
    name = situation.record.name
    return tuple(
        replica
        for replica in situation.observation.replicas
        if (replica.service, replica.revision) == (name, number)
        and replica.phase is ReplicaPhase.READY
    )


def _is_of(replica: Replica, revision: Revision) -> bool:
    return (replica.service, replica.revision) == (revision.service, revision.number)


def _first_url(replicas: tuple[Replica, ...]) -> str | None:
    return next((replica.url for replica in replicas if replica.url), None)
