"""Which revision a rollback goes to, and the refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Cause, Outcome
from cloche.errors import ConflictError, UsageError
from cloche.refusals import being_deleted, unknown_revision

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.artifacts import ServiceRecord


def former(record: ServiceRecord) -> int | None:
    """Return the revision that was live before the live one; None if there was none.

    A rollback is an undo: after a rollback to revision N, the former revision is the one before N,
    not the one that was left.
    """
    formerly_live: list[int] = []
    for rollout in record.rollouts:
        if rollout.outcome is not Outcome.COMPLETED:
            continue
        if rollout.previous is not None and not formerly_live:
            formerly_live.append(rollout.previous)  # older rollouts are not remembered
        if rollout.to in formerly_live and rollout.cause is Cause.ROLLBACK:
            del formerly_live[formerly_live.index(rollout.to) :]
        elif rollout.to in formerly_live:
            formerly_live.remove(rollout.to)
        formerly_live.append(rollout.to)
    return formerly_live[-2] if len(formerly_live) > 1 else None


def destination(record: ServiceRecord, to: int | None, known: Collection[int]) -> int:
    """Return the number of the revision to go back to; `to` is the requested one.

    `known` holds the numbers of the recorded revisions. Raises ClocheError `rollback.nothing`,
    `rollback.under_way`, `rollback.live`, `revision.unknown`, `service.deleting`.
    """
    name, rollout = record.name, record.rollout
    if record.deleting:
        raise being_deleted(name)
    if to is not None:
        if to not in known:
            raise unknown_revision(name, to)
        if to == record.live and rollout is None:
            what = f"Revision {to} of {name} is already live."
            raise UsageError("rollback.live", what, where=name, hint=_history_hint(name))
        return to
    if rollout is not None:
        raise _under_way(record)
    before = former(record)
    if before is None or before not in known:
        what = f"{name} has no earlier revision that was live."
        hint = f"{_history_hint(name)} --to N goes to any of them."
        raise ConflictError("rollback.nothing", what, where=name, hint=hint)
    return before


def _under_way(record: ServiceRecord) -> ConflictError:
    rollout, name = record.rollouts[-1], record.name
    live = "no revision has" if record.live is None else f"revision {record.live} has"
    what = f"A rollout to revision {rollout.to} of {name} is under way, and {live} the traffic."
    hint = f"--to {record.live} ends it and stays there." if record.live else "--to N ends it."
    hint = f"{hint} {_history_hint(name)}"
    return ConflictError("rollback.under_way", what, where=name, hint=hint)


def _history_hint(name: str) -> str:
    return f"`cloche history {name}` lists the revisions."
