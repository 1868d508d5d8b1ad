"""The plan of a deploy, from what is recorded and observed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Capacity, ChangeKind, Finding, Severity
from cloche.control import requests
from cloche.rollout import consent, objection
from cloche.rollout.change import Recorded, decide_change, operated_now
from cloche.rollout.ending import ending
from cloche.rollout.warm import warm_revision
from cloche.targets import Desired, ReplicaPhase

if TYPE_CHECKING:
    from datetime import datetime

    from cloche.artifacts import Deployment, DeployPlan, Operated, Revision
    from cloche.state import State, Stored
    from cloche.targets import Target


def plan_deploy(deployment: Deployment, recorded: Recorded | None, target: Target) -> DeployPlan:
    """Return what a deployment would change, and change nothing.

    Raises UsageError for a deployment that is not valid, and what `Target.admit` raises.
    """
    requests.check_deployment(deployment)
    operated = operated_now(recorded, deployment)
    requests.check_capacity(deployment.service, operated)
    desired = replace(asked_for(deployment, operated), asked_pod=deployment.pod)
    target.admit(desired)
    against = objection.known_before(deployment.golden, operated)
    if against is not None:
        raise against.with_(where=deployment.service)
    plan = decide_change(deployment, recorded)
    foreseen = (*_outage(plan, recorded, operated), *target.foresee(desired))
    return replace(plan, findings=plan.findings + foreseen)


def asked_for(deployment: Deployment, operated: Operated) -> Desired:
    """Return what a target is asked before a deployment changes anything."""
    return Desired(
        deployment.service,
        operated=operated,
        asked=deployment.repository,
        runtime=deployment.served.runtime,
        sandbox=deployment.served.sandbox,
    )


def _outage(plan: DeployPlan, recorded: Recorded | None, operated: Operated) -> tuple[Finding, ...]:
    """Return that nobody answers while a plan is carried out, if that is so."""
    replaces = plan.kind is ChangeKind.UPDATE and plan.revision is None
    if not replaces or operated.capacity is not Capacity.RECREATE:
        return ()
    if recorded is None or recorded.live is None:
        return ()
    what = (
        f"Nobody answers from the end of revision {recorded.live.number} until the new one is"
        " verified, or that one is started again."
    )
    return (Finding(Severity.WARNING, "rollout.outage", what, where=plan.service),)


def with_objects(
    plan: DeployPlan,
    deployment: Deployment,
    recorded: Recorded | None,
    state: State,
    target: Target,
) -> DeployPlan:
    """Return a plan with the changes of the objects by which a cluster runs the service.

    Raises ClocheError for an object that the cluster refuses.
    """
    following = state.last_number(deployment.service) + 1
    objects = target.compare(ending(plan, deployment, recorded, following))
    whole = replace(plan, objects=objects)
    return replace(whole, questions=plan.questions + consent.takes_over(whole))


def recorded_of(
    stored: Stored | None, state: State, target: Target | None, now: datetime | None = None
) -> Recorded | None:
    """Return the recorded service, with whether its live revision is broken.

    `target` is None if nothing runs. Which revision is warm depends on `now`.
    """
    if stored is None:
        return None
    record = stored.record
    live = _revision(state, record.name, record.live)
    rolling = _revision(state, record.name, record.rollout.to if record.rollout else None)
    broken = live is not None and target is not None and _is_broken(live, target)
    judged = state.attached(record.name, live.number).verification if live is not None else None
    warm = _revision(state, record.name, warm_revision(record, now)) if now is not None else None
    return Recorded(record, live, rolling, broken=broken, judged=judged, warm=warm)


def offline(deployment: Deployment, state: State | None, target: Target) -> DeployPlan:
    """Return what a deployment would change while nothing runs; `state` is None in a new home."""
    stored = state.service(deployment.service) if state is not None else None
    recorded = recorded_of(stored, state, None) if state is not None else None
    return plan_deploy(deployment, recorded, target)


def _revision(state: State, name: str, number: int | None) -> Revision | None:
    return None if number is None else state.revision(name, number)


def _is_broken(revision: Revision, target: Target) -> bool:
    """Return whether a revision has replicas and all of them failed."""
    replicas = target.observe(revision.service).of(revision.number)
    return bool(replicas) and all(replica.phase is ReplicaPhase.FAILED for replica in replicas)
