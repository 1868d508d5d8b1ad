"""The steps in which traffic moves to a verified revision, each in percent.

The only strategy so far is one step of all traffic.
"""

from __future__ import annotations

ALL = 100
STEPS = (ALL,)


def weight(step: int) -> int:
    """Return the percent of the traffic in a step; steps count from 1."""
    return STEPS[step - 1]


def following(step: int) -> int | None:
    """Return the next step; None after the last one."""
    return step + 1 if step < len(STEPS) else None
