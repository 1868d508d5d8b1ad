"""What a service is once a deploy is done: its plan shows the way there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Revision
from cloche.rollout import strategy
from cloche.rollout.change import operated_now
from cloche.rollout.decide import placement
from cloche.targets import Desired

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, DeployPlan
    from cloche.rollout.change import Recorded


def ending(
    plan: DeployPlan, deployment: Deployment, recorded: Recorded | None, following: int
) -> Desired:
    """Return what the service is at the end of a plan.

    `following` is the number that a new revision takes. The former revision is still there where
    it is kept for a quick way back.
    """
    operated = operated_now(recorded, deployment)
    revisions = _revisions(recorded)
    if plan.revision is None:
        number = following
        revisions[number] = Revision(deployment.service, number, deployment.digest, deployment, "")
    else:
        number = plan.revision
    live = recorded.record.live if recorded is not None else None
    former = recorded.warm.number if recorded is not None and recorded.warm is not None else None
    if number != live:
        former = live if operated.warm_limit > 0 else None
    if former in revisions and revisions[former].deployment.adopted is not None:
        former = None  # it runs on without a placement
    kept = sorted({each for each in (former, number) if each in revisions})
    placements = tuple(placement(revisions[each], operated) for each in kept)
    return Desired(deployment.service, placements, {number: strategy.ALL}, operated)


def _revisions(recorded: Recorded | None) -> dict[int, Revision]:
    if recorded is None:
        return {}
    known = (recorded.live, recorded.rolling, recorded.warm)
    return {each.number: each for each in known if each is not None}
