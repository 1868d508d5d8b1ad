"""The JSON views of services, revisions and rollouts; their field names are stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche import artifacts
from cloche.artifacts import Attached, RevisionStatus
from cloche.rollout import record as rules

if TYPE_CHECKING:
    from cloche.artifacts import Revision, Rollout, ServiceRecord
    from cloche.errors import ClocheError
    from cloche.targets import Gateway, ServiceObservation, ServiceTraffic


def gateway_view(gateway: Gateway | None) -> dict[str, Any] | None:
    """Return `{ready, http (base URL), grpc (address), pid, detail (why it is not ready)}`."""
    view: dict[str, Any] | None = artifacts.to_builtins(gateway)
    return view


def service_view(
    record: ServiceRecord,
    shown: Revision,
    attached: Attached,
    observation: ServiceObservation,
    trouble: ClocheError | None,
) -> dict[str, Any]:
    """Return a ServiceStatus.

    `shown` is the live revision, or that of the last rollout before any is live; `revision`,
    `model`, `verification` and `created_at` describe it. `wanted`, `phase` and `failure` describe
    the last rollout; without its failure, `failure` is the service's current trouble.
    """
    latest, model = record.latest, shown.deployment.repository.main.name
    wanted = latest.to if latest is not None else shown.number
    failure = latest.failure if latest is not None else None
    return {
        "service": record.name,
        "revision": shown.number,
        "phase": rules.standing(record, wanted).value,
        "live": record.live,
        "wanted": wanted,
        "rollout": rollout_view(record.rollout) if record.rollout is not None else None,
        "deleting": record.deleting,
        "restarted_at": record.restarted_at,
        "model": artifacts.model_view(shown.deployment.main.snapshot),
        "conversion": artifacts.conversion_view(shown.deployment.main),
        "http": f"{observation.endpoint.http}/v2/models/{quote(model, safe='')}/infer",
        "grpc": observation.endpoint.grpc,
        "verification": artifacts.to_builtins(attached.verification),
        "replicas": _replicas_view(record, shown, observation),
        "traffic": _traffic_view(observation.traffic),
        "failure": failure or (trouble.to_dict() if trouble else None),
        "warnings": artifacts.to_builtins(shown.deployment.warnings()),
        "created_at": shown.created_at,
    }


def _replicas_view(
    record: ServiceRecord, shown: Revision, observation: ServiceObservation
) -> dict[str, Any]:
    """Return `{wanted, ready, scaling (of the shown revision), items (of all revisions)}`.

    `most` stands beside `wanted`, the least, where the number follows a measure.
    """
    replicas = record.operated.replica_range
    return {
        "wanted": replicas.minimum,
        **({} if replicas.fixed else {"most": replicas.maximum}),
        "ready": len(observation.ready(shown.number)),
        "scaling": artifacts.to_builtins(observation.scaling.get(shown.number)),
        "items": artifacts.to_builtins(observation.replicas),
    }


def _traffic_view(traffic: ServiceTraffic | None) -> dict[str, Any] | None:
    """Return a Traffic with `seconds` and `revisions`; None where it is not counted."""
    if traffic is None:
        return None
    total: dict[str, Any] = artifacts.to_builtins(traffic.total)
    revisions = {str(number): each for number, each in traffic.revisions.items()}
    return {"seconds": traffic.seconds, **total, "revisions": artifacts.to_builtins(revisions)}


def revision_status(
    record: ServiceRecord, revision: Revision, attached: Attached
) -> RevisionStatus:
    """Return a revision with its attachments and its current state."""
    last = rules.last_rollout_to(record, revision.number)
    return RevisionStatus(
        service=revision.service,
        number=revision.number,
        digest=revision.digest,
        deployment=revision.deployment,
        created_at=revision.created_at,
        by=revision.by,
        phase=rules.standing(record, revision.number),
        phase_since=_since(record, revision, last),
        verification=attached.verification,
        image=attached.image,
        failure=last.failure if last is not None else None,
        rollout=last,
    )


def rollout_view(rollout: Rollout) -> dict[str, Any]:
    """Return a rollout as the API and `--json` show it; `from` is its `previous`."""
    return {
        "to": rollout.to,
        "from": rollout.previous,
        "cause": rollout.cause.value,
        "by": rollout.by,
        "started_at": rollout.started_at,
        "phase": rollout.phase.value,
        "since": rollout.since,
        "step": rollout.step,
        "weight": rollout.weight,
        "paused": rollout.paused,
        "verified": rollout.verification.passed if rollout.verification else None,
        "outcome": rollout.outcome.value if rollout.outcome else None,
        "ended_at": rollout.ended_at,
        "failure": rollout.failure,
        "accepted": [consent.value for consent in rollout.accepted],
    }


def _since(record: ServiceRecord, revision: Revision, last: Rollout | None) -> str:
    """Return when a revision entered its current state; `last` is the last rollout to it."""
    if last is None:
        return revision.created_at
    if record.live != revision.number and rules.standing(record, revision.number) == "retired":
        taken_over = (
            rollout.since
            for rollout in record.rollouts
            if rollout.previous == revision.number and rollout.outcome == "completed"
        )
        return max(taken_over, default=last.since)
    return last.since
