"""What a deploy would change, as data."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, TypedDict

from cloche.artifacts.model import Finding
from cloche.artifacts.repository import Reason


class ChangeKind(enum.StrEnum):
    """What a deploy amounts to, the gravest of its changes."""

    NONE = "none"
    SCALE = "scale"
    """Only how the service is operated changes: no new revision."""
    UPDATE = "update"
    """Another revision gets the traffic, or a rollout under way ends."""
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that would be different; `before` is None where there was none."""

    kind: ChangeKind
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """All that a deploy changes, and why the generated values are what they are."""

    service: str
    kind: ChangeKind
    changes: tuple[Change, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]
    revision: int | None = None
    """The revision on record that is what is asked for; None where a new one is made."""


class DeployAnswer(TypedDict):
    """What a control plane answers to a deploy or a rollback."""

    change: str
    """`revision` (a rollout has begun or ended), `scaled`, or `none`."""
    revision: int
    """Number of the revision that was asked for."""
