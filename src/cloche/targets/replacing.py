"""Which replicas of a revision are started and stopped next: a pure function.

A restart replaces each replica by a new one. A new one comes up first, and what answers now ends
only when as many others answer as are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Staying:
    """A replica that is not being stopped."""

    id: str
    ready: bool
    answers: bool
    """Whether it is ready and seen to get requests."""
    outdated: bool
    """Whether a restart replaces it."""


@dataclass(frozen=True, slots=True)
class Step:
    """How many replicas to start, and which to stop."""

    start: int
    stop: tuple[str, ...]


def next_step(staying: Sequence[Staying], wanted: int) -> Step:
    """Return the next step towards `wanted` replicas, none of them outdated.

    Of several alike the first ones stay. While there are outdated ones, one more than wanted runs.
    """
    outdated = [each for each in staying if each.outdated]
    current = sorted(
        (each for each in staying if not each.outdated), key=lambda one: not one.answers
    )
    stop = [each.id for each in current[wanted:]]
    answering = sum(each.answers for each in staying if each.id not in stop)
    for each in sorted(outdated, key=lambda one: one.answers):
        has_no_room = len(current) < wanted < len(staying) - len(stop)
        if answering - each.answers >= wanted or (has_no_room and not each.ready):
            answering -= each.answers
            stop.append(each.id)
    left = len(staying) - len(stop)
    is_replacing = any(each.id not in stop for each in outdated)
    start = min(wanted + is_replacing - left, wanted - len(current))
    return Step(max(0, start), tuple(stop))
