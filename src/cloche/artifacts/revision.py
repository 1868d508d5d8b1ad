"""What is deployed, and what becomes of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from cloche.artifacts.encoding import digest_of, encode
from cloche.artifacts.model import ModelFacts, ModelSnapshot
from cloche.artifacts.repository import Lock, ModelRepository
from cloche.artifacts.verification import Golden, InferenceBody, Verification


class Phase(enum.StrEnum):
    """Where a revision stands; the rollout's state machine is in `cloche.rollout.phases`."""

    PENDING = "pending"
    STARTING = "starting"
    VERIFYING = "verifying"
    SHIFTING = "shifting"
    LIVE = "live"
    RETIRED = "retired"
    """It was live; a later revision is now."""
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A later deploy took over before this one was live."""

    @property
    def ended(self) -> bool:
        """Return whether a rollout has nothing more to do for the revision."""
        return self in {Phase.LIVE, Phase.RETIRED, Phase.FAILED, Phase.SUPERSEDED}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deploy hands to the control plane: everything resolved, built and in the store."""

    service: str
    snapshot: ModelSnapshot
    facts: ModelFacts
    repository: ModelRepository
    lock: Lock | None
    served: dict[str, Any]
    """The part of the spec that makes a revision."""
    operated: dict[str, Any]
    """The part of the spec that changes in place (`{"replicas": 2}`)."""
    by: str = ""
    """Who asked, as `user@host`."""
    example: InferenceBody | None = None
    """The request that the spec gives as an example, in the model's own shapes."""

    @property
    def digest(self) -> str:
        """Return the digest of the revision this makes: the same one means nothing to do."""
        lock = self.lock.digest if self.lock else None
        parts = [self.snapshot.digest, lock, self.served, self.repository.digest]
        return digest_of(encode([*parts, self.example.digest] if self.example else parts))


@dataclass(frozen=True, slots=True)
class Revision:
    """An immutable, numbered state of what is served, and what has become of it.

    `digest` is that of the model digest, the lock digest, the served part of the spec, the
    repository digest and the example's, where there is one. `phase`, `verification` and `failure`
    are attached as they come to be.
    """

    service: str
    number: int
    digest: str
    deployment: Deployment
    created_at: str
    phase: Phase
    phase_since: str
    golden: Golden | None = None
    verification: Verification | None = None
    failure: dict[str, Any] | None = None
    """The error object of a failed revision, as `ClocheError.to_dict` makes it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a service, with who and why."""

    sequence: int
    at: str
    service: str
    revision: int | None
    kind: str
    """`deployed`, `phase`, `scaled`, `replica`, `verified`, `deleted` …"""
    what: str
    by: str
    detail: dict[str, Any] = field(default_factory=dict)
