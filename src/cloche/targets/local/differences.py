"""What placing a revision would change, in words."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from cloche.targets.replacing import next_step

if TYPE_CHECKING:
    from cloche.targets.desired import Placement
    from cloche.targets.local.revisions import RevisionRunner


def difference(runner: RevisionRunner | None, placement: Placement) -> str:
    """Return what placing a revision would do; empty if it would write nothing."""
    running = runner is not None and not runner.removed
    step = (
        runner.next_step(placement)
        if runner and running
        else next_step((), placement.replicas.minimum)
    )
    actions = [
        f"{verb} {count} replica{'s' if count > 1 else ''}"
        for verb, count in (("start", step.start), ("stop", len(step.stop)))
        if count
    ]
    counted = bool(actions)
    if runner and running:
        actions += [
            f"change the {field.name.replace('_', ' ')}"
            for field in fields(placement)
            if getattr(runner.placement, field.name) != getattr(placement, field.name)
            and not (counted and field.name == "replicas")
        ]
    return ", ".join(actions)
