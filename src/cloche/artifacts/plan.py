"""What a deploy would change, as data."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, TypedDict

from cloche.artifacts.model import Finding
from cloche.artifacts.repository import Reason


class ChangeKind(enum.StrEnum):
    """The kind of a deploy: that of its gravest change."""

    NONE = "none"
    SCALE = "scale"
    """Only how the service is operated changes: no new revision."""
    UPDATE = "update"
    """Another revision gets the traffic, or a rollout under way ends."""
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a deploy changes; `before` is None if there was no value."""

    kind: ChangeKind
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """All changes of a deploy, and the reasons for the generated values."""

    service: str
    kind: ChangeKind
    changes: tuple[Change, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]
    revision: int | None = None
    """The recorded revision that the deploy asks for; None if it makes a new one."""


class DeployAnswer(TypedDict):
    """The answer of a control plane to a deploy or a rollback."""

    change: str
    """`revision` (a rollout began or ended), `scaled`, or `none`."""
    revision: int
    """Number of the requested revision."""
