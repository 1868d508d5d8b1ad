"""How two revisions share the room of one, while a rollout replaces the live replicas.

With `recreate` the live ones end before the others start. With `partial` one at a time gives its
place to one of the new revision; the last one stays until it gets no more requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Capacity, Outcome, Phase

if TYPE_CHECKING:
    from cloche.artifacts import Rollout, ServiceRecord
    from cloche.rollout.situation import Situation


def size(situation: Situation) -> int:
    """Return how many live replicas a rollout that starts now replaces; 0 where it replaces none.

    That are as many as answer, within the range, so that an autoscaler's number is kept; as many as
    did where a rollout before this one has just ended them.
    """
    record, rollout = situation.record, situation.record.rollout
    if rollout is None or rollout.capacity is Capacity.SURGE or record.live in {None, rollout.to}:
        return 0
    wanted = record.operated.replica_range
    answering = len(situation.observation.ready(record.live)) if record.live is not None else 0
    answering = answering or displaced(record)
    return max(wanted.minimum, min(answering, wanted.maximum))


def displaced(record: ServiceRecord) -> int:
    """Return how many live replicas gave their room to the last rollout, which did not complete.

    0 where none did. They come back as many as they were, whatever set their number.
    """
    for rollout in reversed(record.rollouts):
        if not rollout.ended or rollout.to == rollout.previous:
            continue  # one that is under way, or the live one was asked for again
        failed = rollout.outcome is not Outcome.COMPLETED and rollout.to != record.live
        return rollout.size if failed else 0
    return 0


def counts(situation: Situation) -> dict[int, int]:
    """Return the replicas of the revisions of a rollout that replaces; empty for any other.

    The new one has no more than there is room for: what leaves goes first.
    """
    rollout, live = situation.record.rollout, situation.record.live
    if rollout is None or live is None or not rollout.size or rollout.phase is Phase.PENDING:
        return {}
    old, new = _shares(rollout)
    room = rollout.size - len(situation.observation.of(live))
    there = len(situation.observation.of(rollout.to))
    return {live: old, rollout.to: min(new, max(room, there, 0))}


def enough(rollout: Rollout) -> int:
    """Return how many ready replicas the next step of a rollout that replaces needs."""
    return _shares(rollout)[1]


def _shares(rollout: Rollout) -> tuple[int, int]:
    """Return how many replicas the live revision keeps, and how many the new one gets."""
    if rollout.capacity is Capacity.RECREATE:
        return 0, rollout.size
    serving = rollout.step if rollout.phase is Phase.SHIFTING else 0
    new = min(serving + 1, rollout.size - 1)
    return rollout.size - new, new
