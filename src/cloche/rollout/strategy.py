"""How the traffic moves to a verified revision: in steps, each a share of it in percent.

One step of all traffic is the only strategy so far.
"""

from __future__ import annotations

ALL = 100
STEPS = (ALL,)


def weight(step: int) -> int:
    """Return the percent of the traffic in a step; steps are counted from 1."""
    return STEPS[step - 1]


def following(step: int) -> int | None:
    """Return the step after this one, None after the last."""
    return step + 1 if step < len(STEPS) else None
