"""The steps in which traffic moves to a verified revision, each in percent.

It moves in one step, or, where replicas take each other's place, with each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Capacity

if TYPE_CHECKING:
    from cloche.artifacts import Rollout

ALL = 100


def steps(rollout: Rollout) -> tuple[int, ...]:
    """Return the percent of the traffic in each step of a rollout."""
    if rollout.capacity is not Capacity.PARTIAL:
        return (ALL,)
    parts = (round(ALL * count / rollout.size) for count in range(1, rollout.size))
    return (*parts, ALL)


def weight(rollout: Rollout, step: int) -> int:
    """Return the percent of the traffic in a step; steps count from 1."""
    return steps(rollout)[step - 1]


def following(rollout: Rollout) -> int | None:
    """Return the next step; None after the last one."""
    return rollout.step + 1 if rollout.step < len(steps(rollout)) else None
