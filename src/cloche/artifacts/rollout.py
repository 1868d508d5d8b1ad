"""The way of the traffic from one revision to another, and the record of a service."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from cloche.artifacts.revision import Deployment
from cloche.artifacts.service import Operated
from cloche.artifacts.verification import Golden, Verification


class Cause(enum.StrEnum):
    """Why a rollout was begun."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    FOLLOW = "follow"
    """A followed alias moved."""


class Phase(enum.StrEnum):
    """How far a rollout is; its state machine is in `cloche.rollout.decide`."""

    PENDING = "pending"
    STARTING = "starting"
    """The replicas start."""
    VERIFYING = "verifying"
    """The golden request is asked."""
    SHIFTING = "shifting"
    """The traffic moves, step by step."""
    ENDED = "ended"


class Outcome(enum.StrEnum):
    """How a rollout ended."""

    COMPLETED = "completed"
    """Its revision has the traffic."""
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A later rollout, or the end of the service, took over before."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout: the part of a service that moves."""

    to: int
    """Number of the revision that is to have the traffic."""
    previous: int | None
    """Number of the revision that had it when the rollout began."""
    cause: Cause
    by: str
    """Who asked for it, as `user@host`."""
    started_at: str
    phase: Phase
    since: str
    """When the phase began; all times are UTC, ISO 8601."""
    verify: bool = True
    """Whether the golden request is asked before the revision gets traffic."""
    step: int = 0
    """Number of the strategy's step that is under way; 0 before the traffic moves."""
    weight: int = 0
    """Percent of the traffic that the revision is to have now."""
    paused: bool = False
    verification: Verification | None = None
    """What came of the golden request in this rollout."""
    outcome: Outcome | None = None
    ended_at: str | None = None
    failure: dict[str, Any] | None = None
    """The error object of a failed rollout, as `ClocheError.to_dict` makes it."""

    @property
    def ended(self) -> bool:
        """Return whether there is nothing more to do for it."""
        return self.outcome is not None


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """All that changes of a declared service: it is read and written as a whole."""

    name: str
    operated: Operated
    live: int | None = None
    """Number of the revision that has the traffic; None before the first."""
    rollouts: tuple[Rollout, ...] = ()
    """The latest rollouts, oldest first; only the last one can be under way."""
    deleting: bool = False

    @property
    def rollout(self) -> Rollout | None:
        """Return the rollout under way."""
        latest = self.latest
        return latest if latest is not None and not latest.ended else None

    @property
    def latest(self) -> Rollout | None:
        """Return the last rollout, under way or ended."""
        return self.rollouts[-1] if self.rollouts else None


class Standing(enum.StrEnum):
    """What a revision is at the moment, told from its rollouts and from what is live."""

    PENDING = "pending"
    STARTING = "starting"
    VERIFYING = "verifying"
    SHIFTING = "shifting"
    LIVE = "live"
    RETIRED = "retired"
    """It was live; another revision is now."""
    FAILED = "failed"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        """Return whether no rollout to the revision is under way."""
        return self in {Standing.LIVE, Standing.RETIRED, Standing.FAILED, Standing.SUPERSEDED}


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """A revision with what was attached to it and what it is now, as the API answers it."""

    service: str
    number: int
    digest: str
    deployment: Deployment
    created_at: str
    by: str
    phase: Standing
    phase_since: str
    golden: Golden | None = None
    verification: Verification | None = None
    image: str | None = None
    failure: dict[str, Any] | None = None
    """The error object of its last rollout, where that failed."""
    rollout: Rollout | None = None
    """The last rollout to it; None where that is no longer remembered."""


class EventKind(enum.StrEnum):
    """What happened; further kinds may be added."""

    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled_back"
    """A rollback was asked for."""
    PHASE = "phase"
    GOLDEN = "golden"
    VERIFIED = "verified"
    SCALED = "scaled"
    """The service is operated otherwise."""
    REPLICA = "replica"
    TROUBLE = "trouble"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a service, with who and why."""

    at: str
    service: str
    revision: int | None
    kind: EventKind
    what: str
    by: str
    detail: dict[str, Any] = field(default_factory=dict)
    cursor: str = ""
    """Its place in the journal, opaque: reading goes on after it."""
