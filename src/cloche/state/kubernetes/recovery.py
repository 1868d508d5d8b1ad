"""What is put right after a crash or a mistake: numbers that nobody uses, a record that is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cloche.artifacts import (
    Cause,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    Rollout,
    ServiceRecord,
)
from cloche.errors import ClocheError, ConflictError, StaleError
from cloche.refusals import unknown_service
from cloche.state.kubernetes.state import known_numbers

if TYPE_CHECKING:
    from cloche.artifacts import Revision
    from cloche.state.kubernetes.objects import Body
    from cloche.state.kubernetes.state import KubernetesState
    from cloche.state.state import Stored

ORPHANED = timedelta(minutes=10)
"""Age of a number that no record knows of: its deploy was killed, or waits for a very long time."""
_ALL = 100


def sweep(state: KubernetesState, service: str, *, now: datetime) -> tuple[int, ...]:
    """Remove the revisions of a service that its record never knew of; return their numbers.

    Without a record nothing is removed: it may be made anew from them. The record is written
    first: a deploy that still waits with such a number finds it changed, and takes another number.
    """
    stored = state.service(service)
    known = known_numbers(stored.record) if stored is not None else set()
    if stored is None or not known:
        return ()
    orphans = {
        number: body
        for number, body in state.numbered.bodies(service).items()
        # What is older than all that the record remembers was forgotten by it.
        if number > min(known) and number not in known and now - _made(body) > ORPHANED
    }
    if not orphans:
        return ()
    try:
        state.put(stored.record, expect=stored.version)
    except StaleError:
        return ()  # the next time
    for body in orphans.values():
        state.numbered.remove(body)
    return tuple(orphans)


def rebuild(
    state: KubernetesState, service: str, live: int | None, replicas: int | None = None
) -> Stored:
    """Write the lost record of a service anew, from its revisions and its history.

    `live` is the number of the revision that has the traffic, None if none has any, and `replicas`
    how many it has. How else the service is operated is what its latest revision was deployed with.
    Raises StaleError if it has a record, NotFoundError `service.unknown` if it has no revision, and
    ConflictError `state.lost` if the revision with the traffic is gone, too.
    """
    revisions = {revision.number: revision for revision in state.revisions(service)}
    if not revisions:
        raise unknown_service(service)
    if live is not None and live not in revisions:
        raise ConflictError(
            "state.lost",
            f"The record of {service} is lost, and so is revision {live}, which has the traffic.",
            where=service,
            hint=f"Deploy {service} again under another name, and delete what is left of it by its"
            f" label: cloche.dev/service={service}.",
        )
    latest = revisions[max(revisions)]
    fronts = (each.deployment.operated.front for each in revisions.values())
    now = Operated(
        replicas=ReplicaRange.exactly(replicas) if replicas else None,
        front=next((front for front in fronts if front is not None), None),
    )
    record = ServiceRecord(service, now.over(latest.deployment.operated), live)
    version = state.put(record, expect=None)
    stored = state.service(service)
    if stored is not None and not stored.record.rollouts:
        forgotten = _forgotten(
            latest if live is None else revisions[live], is_live=live is not None
        )
        state.put(replace(record, rollouts=(forgotten,)), expect=version)
        stored = state.service(service)
    if stored is None:
        raise unknown_service(service)
    return stored


def _made(body: Body) -> datetime:
    return datetime.fromisoformat(body["metadata"]["creationTimestamp"]).astimezone(UTC)


def _forgotten(revision: Revision, *, is_live: bool) -> Rollout:
    """Return a rollout that stands for the forgotten one to a revision."""
    at = revision.created_at
    rollout = Rollout(
        revision.number, None, Cause.DEPLOY, revision.by, at, Phase.ENDED, at, ended_at=at
    )
    if is_live:
        return replace(rollout, weight=_ALL, outcome=Outcome.COMPLETED)
    what = "The record of its service was lost before it was live."
    failure = ClocheError("state.lost", what, hint="Deploy it again.").to_dict()
    return replace(rollout, outcome=Outcome.FAILED, failure=failure)
