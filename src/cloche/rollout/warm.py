"""The former revision, whose replicas stay for a while: a way back in a second."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cloche.artifacts import Outcome

if TYPE_CHECKING:
    from cloche.artifacts import ServiceRecord


def warm_revision(record: ServiceRecord, now: datetime) -> int | None:
    """Return the number of the revision whose replicas are kept; None where there is none.

    While a rollout is under way only what it moves between has replicas.
    """
    if record.rollout is not None or record.live is None:
        return None
    completed = (each for each in reversed(record.rollouts) if each.outcome is Outcome.COMPLETED)
    last = next(completed, None)
    if last is None or last.ended_at is None or last.previous in {None, record.live}:
        return None
    since = (now - datetime.fromisoformat(last.ended_at)).total_seconds()
    return last.previous if since < record.operated.warm_limit else None
