"""What a deploy would change, as data: compared with the revision that is wanted now."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.rollout.phases import replicas_of

if TYPE_CHECKING:
    from cloche.artifacts import Deployment, Finding, Reason, Revision


class ChangeKind(enum.StrEnum):
    """What a plan amounts to, the gravest of its changes."""

    NONE = "none"
    SCALE = "scale"
    """Only how the service is operated changes: no new revision."""
    UPDATE = "update"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that would be different; `before` is None where there was none."""

    kind: ChangeKind
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a deploy would change, and why the generated values are what they are."""

    service: str
    kind: ChangeKind
    changes: tuple[Change, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]


def make(
    deployment: Deployment, current: Revision | None, operated: dict[str, Any] | None = None
) -> Plan:
    """Compare a deployment with the wanted revision and how its service is operated now."""
    before = _revision_values(current.deployment) if current else {}
    after = _revision_values(deployment)
    made = ChangeKind.UPDATE if current else ChangeKind.CREATE
    changes = _differences(made, before, after)
    if current and current.digest == deployment.digest:
        changes = []  # the same bytes under another name of the same model are no new revision
    # What neither the spec nor an earlier one says stays as it is, at first one replica.
    stands = {**(operated or {}), "replicas": replicas_of(operated or {})}
    changes += _differences(
        ChangeKind.SCALE if current else ChangeKind.CREATE,
        _leaves(stands) if current else {},
        _leaves({**stands, **deployment.operated}),
    )
    order = list(ChangeKind)
    kind = max((change.kind for change in changes), key=order.index, default=ChangeKind.NONE)
    findings = deployment.facts.findings + deployment.repository.findings
    return Plan(deployment.service, kind, tuple(changes), deployment.repository.reasons, findings)


def _revision_values(deployment: Deployment) -> dict[str, Any]:
    return {
        "model": deployment.snapshot.pinned,
        "model.digest": deployment.snapshot.digest,
        **({"lock.digest": deployment.lock.digest} if deployment.lock else {}),
        **({"example.digest": deployment.example.digest} if deployment.example else {}),
        **_leaves(deployment.served),
        "repository.digest": deployment.repository.digest,
    }


def _leaves(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to dotted names; lists are values."""
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            leaves |= _leaves(item, f"{prefix}{key}.")
        elif item is not None:
            leaves[prefix + key] = item
    return leaves


def _differences(kind: ChangeKind, before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    names = [*after, *(name for name in before if name not in after)]
    return [
        Change(kind, name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]
