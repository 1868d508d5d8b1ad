"""The restart of a service: each replica of its live revision is replaced by a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Event, EventKind
from cloche.errors import ConflictError
from cloche.refusals import being_deleted
from cloche.rollout import words
from cloche.rollout.record import Changed

if TYPE_CHECKING:
    from cloche.artifacts import ServiceRecord


def restart(record: ServiceRecord, *, by: str, at: str) -> Changed:
    """Record a restart of the live revision.

    Raises ClocheError `restart.under_way`, `restart.not_live`, `service.deleting`.
    """
    name, rollout = record.name, record.rollout
    if record.deleting:
        raise being_deleted(name)
    if rollout is not None:
        what = f"A rollout to revision {rollout.to} of {name} is under way."
        hint = "It starts new replicas anyway. Restart it when the rollout has ended."
        raise ConflictError("restart.under_way", what, where=name, hint=hint)
    if record.live is None:
        what = f"{name} has no live revision, so nothing of it can be restarted."
        hint = f"`cloche status {name}` says why; a deploy begins anew."
        raise ConflictError("restart.not_live", what, where=name, hint=hint)
    event = Event(at, name, record.live, EventKind.RESTARTED, words.restarted(record.live), by)
    return Changed(replace(record, restarted_at=at), (event,))
