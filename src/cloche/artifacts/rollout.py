"""Rollouts, which move a service's traffic between revisions, and the record of a service."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from cloche.artifacts.plan import Consent
from cloche.artifacts.revision import Deployment
from cloche.artifacts.service import Capacity, Operated
from cloche.artifacts.verification import Verification


class Cause(enum.StrEnum):
    """Why a rollout began."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    FOLLOW = "follow"
    """A followed alias moved."""
    ADOPT = "adopt"
    """What ran already was taken over as it was."""


class Phase(enum.StrEnum):
    """The phase of a rollout; the state machine is `cloche.rollout.decide`."""

    PENDING = "pending"
    STARTING = "starting"
    """The replicas start."""
    VERIFYING = "verifying"
    """A replica answers the golden request."""
    SHIFTING = "shifting"
    """The traffic moves, step by step."""
    ENDED = "ended"


class Outcome(enum.StrEnum):
    """How a rollout ended."""

    COMPLETED = "completed"
    """Its revision has the traffic."""
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A later rollout, or the deletion of the service, ended it first."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One move of a service's traffic to a revision."""

    to: int
    """Number of the revision that the traffic moves to."""
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
    """Whether the golden request must pass before the revision gets traffic."""
    step: int = 0
    """Number of the strategy's current step; 0 before the traffic moves."""
    weight: int = 0
    """Percent of the traffic that the revision should have now."""
    paused: bool = False
    verification: Verification | None = None
    """Outcome of the golden request in this rollout."""
    outcome: Outcome | None = None
    ended_at: str | None = None
    failure: dict[str, Any] | None = None
    """The error object of a failed rollout, as `ClocheError.to_dict` makes it."""
    accepted: tuple[Consent, ...] = ()
    """What its author said yes to."""
    capacity: Capacity = Capacity.SURGE
    """Where the replicas of the revision find room."""
    size: int = 0
    """How many replicas were live when it began to start, where it takes their room."""

    @property
    def ended(self) -> bool:
        """Return whether the rollout has an outcome."""
        return self.outcome is not None


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """The mutable part of a declared service, read and written as a whole."""

    name: str
    operated: Operated
    live: int | None = None
    """Number of the revision that has the traffic; None before the first."""
    rollouts: tuple[Rollout, ...] = ()
    """The latest rollouts, oldest first; only the last can be under way."""
    deleting: bool = False
    restarted_at: str | None = None
    """When a restart of the live revision was last asked for: UTC, ISO 8601."""
    retried_at: str | None = None
    """When it was last asked for again while not all of it answered."""

    @property
    def rollout(self) -> Rollout | None:
        """Return the rollout under way."""
        latest = self.latest
        return latest if latest is not None and not latest.ended else None

    @property
    def latest(self) -> Rollout | None:
        """Return the last rollout, under way or ended."""
        return self.rollouts[-1] if self.rollouts else None

    @property
    def shown(self) -> int:
        """Return the live revision; before any is live, that of the last rollout, else 0."""
        return self.live or (self.latest.to if self.latest is not None else 0)


class Standing(enum.StrEnum):
    """The current state of a revision, derived from its rollouts and the live revision."""

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
    """A revision, its attachments and its current state, as the API returns them."""

    service: str
    number: int
    digest: str
    deployment: Deployment
    created_at: str
    by: str
    phase: Standing
    phase_since: str
    verification: Verification | None = None
    image: str | None = None
    failure: dict[str, Any] | None = None
    """The error object of its last rollout, if that failed."""
    rollout: Rollout | None = None
    """The last rollout to the revision; None if it is no longer remembered."""


class EventKind(enum.StrEnum):
    """What happened; further kinds may be added."""

    ADOPTED = "adopted"
    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled_back"
    """A rollback was asked for."""
    PHASE = "phase"
    GOLDEN = "golden"
    """A golden request was made; earlier versions made it after the revision was recorded."""
    VERIFIED = "verified"
    SCALED = "scaled"
    """How the service is operated has changed."""
    RESTARTED = "restarted"
    """A restart was asked for."""
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
    """Opaque place in the journal; reading continues after it."""
