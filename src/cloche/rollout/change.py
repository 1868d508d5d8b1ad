"""What a deploy changes: `plan` and `deploy` use the same function, so they agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import (
    AFTER_VERIFICATION,
    Change,
    ChangeKind,
    DeployPlan,
    Origin,
    PlannedEnvironment,
    Undetermined,
)
from cloche.rollout import consent
from cloche.spec import written

if TYPE_CHECKING:
    from cloche.artifacts import (
        Deployment,
        Lock,
        Operated,
        Reason,
        Revision,
        ServiceRecord,
        Verification,
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded service that a deploy is compared with."""

    record: ServiceRecord
    live: Revision | None
    rolling: Revision | None
    """The revision of the rollout under way."""
    broken: bool = False
    """Whether all replicas of the live revision failed; the deploy then makes a new revision."""
    judged: Verification | None = None
    """The latest verification of the live revision."""
    warm: Revision | None = None
    """The former revision, if its replicas are kept for a quick way back."""


def decide_change(deployment: Deployment, recorded: Recorded | None) -> DeployPlan:
    """Return what a deploy changes; `recorded` is None for a service that does not exist."""
    if recorded is None or recorded.record.deleting:
        return _plan(deployment, ChangeKind.CREATE, _first_values(deployment))
    current = _requested_revision(deployment, recorded)
    operation = _differences(
        ChangeKind.SCALE,
        written.operated(recorded.record.operated),
        written.operated(deployment.operated.over(recorded.record.operated)),
    )
    if current is None:
        changes = [_new_revision(recorded), *_served_changes(deployment, recorded), *operation]
        asked = consent.questions(deployment, recorded.live, recorded.rolling, recorded.judged)
        return replace(_plan(deployment, ChangeKind.UPDATE, changes), questions=asked)
    rolling = recorded.rolling
    if rolling is not None and rolling.number != current.number:
        end = Change(ChangeKind.UPDATE, "rollout", f"revision {rolling.number}", None)
        return _plan(deployment, ChangeKind.UPDATE, [end, *operation], current.number)
    kind = ChangeKind.SCALE if operation else ChangeKind.NONE
    return _plan(deployment, kind, operation, current.number)


def _requested_revision(deployment: Deployment, recorded: Recorded) -> Revision | None:
    """Return the revision under way, or live and not broken, that the deployment asks for."""
    digest, live = deployment.digest, recorded.live
    if recorded.rolling is not None and recorded.rolling.digest == digest:
        return recorded.rolling
    if live is not None and live.digest == digest and not recorded.broken:
        return live
    return None


def _new_revision(recorded: Recorded) -> Change:
    current = recorded.rolling or recorded.live
    latest = recorded.record.latest
    before = current.number if current is not None else latest.to if latest is not None else None
    return Change(ChangeKind.UPDATE, "revision", before, "new")


def _served_changes(deployment: Deployment, recorded: Recorded) -> list[Change]:
    """Return how a new revision differs from the one that it replaces."""
    current = recorded.rolling or recorded.live
    if current is not None and current.digest == deployment.digest:
        return []  # another reference to the same bytes makes no difference
    if current is None:
        return _differences(ChangeKind.UPDATE, {}, _revision_values(deployment))
    before, after = _revision_values(current.deployment), _revision_values(deployment)
    if deployment.repository.digest:
        before |= _chosen_values(current.deployment)
        after |= _chosen_values(deployment)
    return _differences(ChangeKind.UPDATE, before, after)


def _chosen_values(deployment: Deployment) -> dict[str, Any]:
    """Return the values of config.pbtxt that Cloche chose: another version may choose others."""
    return {
        f"config.{reason.field}": reason.value
        for reason in _determined(deployment.repository.reasons, deployment)
        if reason.origin in {Origin.DEFAULT, Origin.MEASURED}
    }


def _determined(reasons: tuple[Reason, ...], deployment: Deployment) -> tuple[Reason, ...]:
    """Return the reasons of values that a run of the model leaves as they are."""
    return tuple(each for each in reasons if f"config.{each.field}" not in deployment.undetermined)


def _first_values(deployment: Deployment) -> list[Change]:
    """Return all values but the template of its pods: that has nothing to differ from."""
    first = replace(deployment, pod=None)
    after = _revision_values(first) | written.operated(deployment.operated)
    return _differences(ChangeKind.CREATE, {}, after)


def _plan(
    deployment: Deployment,
    kind: ChangeKind,
    changes: list[Change],
    revision: int | None = None,
) -> DeployPlan:
    return DeployPlan(
        service=deployment.service,
        kind=kind,
        changes=tuple(changes),
        reasons=_determined(deployment.reasons, deployment),
        findings=deployment.findings,
        revision=revision,
        environments=tuple(map(_environment, deployment.made_locks)),
        undetermined=deployment.undetermined,
    )


def _environment(lock: Lock) -> PlannedEnvironment:
    return PlannedEnvironment(
        lock=lock.digest,
        python=lock.python,
        packages=len(lock.packages),
        download=sum(lock.sizes.values()) if lock.sizes else None,
        sizes=lock.sizes,
    )


def _revision_values(deployment: Deployment) -> dict[str, Any]:
    member = deployment.main
    return {
        "model": member.snapshot.pinned,
        "model.digest": member.snapshot.digest or None,
        **({"lock.digest": member.lock.digest} if member.lock else {}),
        **({"example.digest": deployment.example.digest} if deployment.example else {}),
        **written.served(deployment.served),
        Undetermined.REPOSITORY: deployment.repository.digest or None,
        **({"image": deployment.image} if deployment.image else {}),
        **{
            field: value
            for field, value in _pod_values(deployment.pod or {}).items()
            if value != deployment.image
        },
        **{str(each): AFTER_VERIFICATION for each in deployment.undetermined},
    }


def _pod_values(value: dict[str, Any], prefix: str = "pod") -> dict[str, Any]:
    """Return the fields of a pod template by their path; an item of a list goes by its name."""
    values: dict[str, Any] = {}
    for key, item in value.items():
        path, inner = f"{prefix}.{key}", item
        if isinstance(item, list) and any(isinstance(each, dict) for each in item):
            inner = {str(each.get("name", index)): each for index, each in enumerate(item)}
        if isinstance(inner, dict) and inner:
            values |= _pod_values(inner, path)
        else:
            values[path] = item
    return values


def _differences(kind: ChangeKind, before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    names = [*after, *(name for name in before if name not in after)]
    return [
        Change(kind, name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def operated_now(recorded: Recorded | None, deployment: Deployment) -> Operated:
    """Return how the service would be operated; unset values stay as they are recorded."""
    if recorded is None or recorded.record.deleting:
        return deployment.operated
    return deployment.operated.over(recorded.record.operated)
