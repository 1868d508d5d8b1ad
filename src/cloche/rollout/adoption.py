"""The first rule of a service that was adopted: what runs is its live revision at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Cause, Event, EventKind, Outcome, Phase, Rollout, ServiceRecord
from cloche.rollout import strategy, words
from cloche.rollout.record import Changed

if TYPE_CHECKING:
    from cloche.artifacts import Deployment


def adopt(deployment: Deployment, number: int, *, by: str, at: str) -> Changed:
    """Return the record of a new service whose revision `number` has the traffic already."""
    name, snapshot = deployment.service, deployment.main.snapshot
    rollout = Rollout(
        number, None, Cause.ADOPT, by, at, Phase.ENDED, at,
        weight=strategy.ALL, outcome=Outcome.COMPLETED, ended_at=at,
    )  # fmt: skip
    record = ServiceRecord(name, deployment.operated, number, (rollout,))
    detail = {"digest": deployment.digest, "model": snapshot.reference}
    what = words.adopted(number, snapshot.reference)
    return Changed(record, (Event(at, name, number, EventKind.ADOPTED, what, by, detail),))
