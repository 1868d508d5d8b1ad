"""Which revision a rollback goes to, and when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Cause, Outcome
from cloche.errors import ConflictError, UsageError
from cloche.refusals import being_deleted, unknown_revision

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.artifacts import ServiceRecord


def former(record: ServiceRecord) -> int | None:
    """Return the revision that was live before the live one, None where there was none.

    A rollback undoes: after one, the revision that was left is not gone back to, but the one before
    the revision that was gone back to.
    """
    lived: list[int] = []
    for rollout in record.rollouts:
        if rollout.outcome is not Outcome.COMPLETED:
            continue
        if rollout.previous is not None and not lived:
            lived.append(rollout.previous)  # what is older is not remembered
        if rollout.to in lived and rollout.cause is Cause.ROLLBACK:
            del lived[lived.index(rollout.to) :]
        elif rollout.to in lived:
            lived.remove(rollout.to)
        lived.append(rollout.to)
    return lived[-2] if len(lived) > 1 else None


def destination(record: ServiceRecord, to: int | None, known: Collection[int]) -> int:
    """Return the number of the revision to go back to; `to` is what was asked for.

    `known` are the numbers of the revisions on record. Raises ClocheError `rollback.nothing`,
    `rollback.under_way`, `rollback.live`, `revision.unknown`, `service.deleting`.
    """
    name, rollout = record.name, record.rollout
    if record.deleting:
        raise being_deleted(name)
    if to is not None:
        if to not in known:
            raise unknown_revision(name, to)
        if to == record.live and rollout is None:
            what = f"Revision {to} of {name} is live already."
            raise UsageError("rollback.live", what, where=name, hint=_listed(name))
        return to
    if rollout is not None:
        raise _under_way(record)
    before = former(record)
    if before is None or before not in known:
        what = f"{name} has no earlier revision that was live."
        hint = f"{_listed(name)} --to N goes to any of them."
        raise ConflictError("rollback.nothing", what, where=name, hint=hint)
    return before


def _under_way(record: ServiceRecord) -> ConflictError:
    rollout, name = record.rollouts[-1], record.name
    live = "no revision has" if record.live is None else f"revision {record.live} has"
    what = f"A rollout to revision {rollout.to} of {name} is under way, and {live} the traffic."
    hint = f"--to {record.live} ends it and stays there." if record.live else "--to N ends it."
    return ConflictError("rollback.under_way", what, where=name, hint=f"{hint} {_listed(name)}")


def _listed(name: str) -> str:
    return f"`cloche history {name}` lists the revisions."
