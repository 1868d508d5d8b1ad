"""When a rollout fails, and the error that says why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Capacity, Phase
from cloche.errors import ClocheError
from cloche.rollout.objection import objection
from cloche.sandbox import FILES, remedies
from cloche.targets import ReplicaPhase

if TYPE_CHECKING:
    from cloche.artifacts import Rollout, ServiceRecord, Verification
    from cloche.rollout.situation import Situation
    from cloche.targets import Replica

Failure = tuple[dict[str, Any], str | None]
"""The error object, and the replica whose log says why."""


def failure(situation: Situation, rollout: Rollout) -> Failure | None:
    """Return why a rollout can never complete; None if it still can."""
    for replica in situation.observation.of(rollout.to):
        if replica.phase is ReplicaPhase.FAILED:
            logged = replica.id if replica.remedy is None else None
            return _replica_failure(situation.record, rollout, replica), logged
    verification = rollout.verification
    if verification is not None and not verification.passed:
        return _verification_failure(situation, rollout, verification), None
    if verification is not None and rollout.phase is Phase.VERIFYING:
        against = objection(rollout, verification, situation.live, situation.record.operated)
        if against is not None:
            return against.with_(where=_where(situation.record, rollout)).to_dict(), None
    if situation.trouble is not None and not situation.trouble.retriable:
        return situation.trouble.to_dict(), None
    return None


def overdue(situation: Situation, rollout: Rollout) -> Failure | None:
    """Return the failure of a rollout that is too long in its phase; None if it is in time."""
    limit = _limit(situation, rollout.phase)
    replicas = situation.observation.of(rollout.to)
    if any(replica.unplaced for replica in replicas):
        return None
    placed = (datetime.fromisoformat(each.placed_at) for each in replicas if each.placed_at)
    since = max(datetime.fromisoformat(rollout.since), situation.resumed, *placed)
    if rollout.paused or (situation.now - since).total_seconds() < limit:
        return None
    if situation.trouble is not None:
        return situation.trouble.to_dict(), None
    replica, why = _obstacle(situation, rollout)
    error = ClocheError(
        "rollout.timeout",
        f"Revision {rollout.to} was {rollout.phase.value} for more than {limit:.0f} s: {why}",
        where=_where(situation.record, rollout),
        hint=_where_to_look(situation, rollout),
    )
    return error.to_dict(), replica


def _limit(situation: Situation, phase: Phase) -> float:
    limits, rollout = situation.limits, situation.record.rollout
    start = situation.record.operated.start_limit + limits.beyond_start
    starts_on = rollout is not None and rollout.capacity is Capacity.PARTIAL
    return {
        Phase.PENDING: limits.pending,
        Phase.STARTING: start,
        Phase.VERIFYING: limits.verifying,
        Phase.SHIFTING: start if starts_on else limits.shifting,
    }[phase]


def _replica_failure(record: ServiceRecord, rollout: Rollout, replica: Replica) -> dict[str, Any]:
    logs = f"`cloche logs {record.name} --revision {rollout.to}`"
    error = ClocheError(
        "rollout.replica",
        f"A replica did not come up: {replica.detail or 'it ended again and again'}",
        where=replica.id,
        hint=_with_live(
            record, replica.remedy or f"The last lines of its log say why; {logs} has all of it."
        ),
    )
    return {**error.to_dict(), "log": list(replica.last_log)}


def _verification_failure(
    situation: Situation, rollout: Rollout, verification: Verification
) -> dict[str, Any]:
    record, replicas = situation.record, situation.observation.of(rollout.to)
    confined = any(FILES in (replica.closed or ()) for replica in replicas)
    remedy = remedies.of_files([verification.detail or ""]) if confined else None
    detail = verification.detail or "the answer is not the expected one"
    hint = remedy or f"`cloche history {record.name} --json` has the difference of each output."
    what = f"The golden request failed: {detail}"
    where = _where(record, rollout)
    hint = _with_live(record, hint)
    return ClocheError("rollout.verification", what, where=where, hint=hint).to_dict()


def _with_live(record: ServiceRecord, hint: str) -> str:
    """Return a hint, after the revision that answers on, or again, if there is one."""
    if record.live is None:
        return hint
    ended = record.rollout is not None and record.rollout.capacity is Capacity.RECREATE
    return f"Revision {record.live} is {'started again' if ended else 'still live'}. {hint}"


def _obstacle(situation: Situation, rollout: Rollout) -> tuple[str | None, str]:
    """Return the replica that a rollout waits for, if it does, and the reason as a sentence."""
    replicas = situation.observation.of(rollout.to)
    if rollout.phase is Phase.PENDING:
        return None, "its earlier failed replicas are not removed yet."
    unready = (replica for replica in replicas if replica.phase is not ReplicaPhase.READY)
    replica = next(unready, None)
    if rollout.phase is Phase.SHIFTING and replica is None:
        detail = situation.observation.endpoint.detail or ""
        return None, f"the gateway did not take its route. {detail}".strip()
    if replica is None:
        return None, "its golden request was not answered." if replicas else "it has no replica."
    return replica.id, f"{replica.id} is {replica.phase.value}. {replica.detail or ''}".strip()


def _where_to_look(situation: Situation, rollout: Rollout) -> str:
    log = situation.observation.endpoint.log
    if rollout.phase is Phase.SHIFTING and log is not None:
        return f"See {log} and deploy again."
    if rollout.phase is Phase.STARTING:
        return (
            f"See `cloche logs {situation.record.name} --revision {rollout.to}`. A large model can"
            " have more time: set `start_timeout` in its cloche.yaml and deploy again."
        )
    return f"See `cloche logs {situation.record.name} --revision {rollout.to}` and deploy again."


def _where(record: ServiceRecord, rollout: Rollout) -> str:
    return f"{record.name} revision {rollout.to}"
