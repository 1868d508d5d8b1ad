"""What a target is told: one whole service, and each revision of it that should run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.artifacts import (
    Adopted,
    Golden,
    Lock,
    ModelRepository,
    Operated,
    ReplicaRange,
    Resources,
    Runtime,
    Sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Placement:
    """A revision that should run."""

    service: str
    revision: int
    repository: ModelRepository
    replicas: ReplicaRange
    start_limit: float
    """Seconds that a replica may take until it is ready."""
    schedule_limit: float | None = None
    """Seconds that it may wait for a machine that is being added; None for the target's default."""
    resources: Resources = field(default_factory=Resources)
    lock: Lock | None = None
    """The lock of the environment that the model runs in; None if the server alone runs it."""
    golden: Golden | None = None
    """The golden request, for targets that ask each replica themselves."""
    warm_up: bool = True
    """Whether a new replica answers it before it is ready."""
    probe: bool = True
    """Whether a replica that answers nothing else is asked it from time to time."""
    request_limit: float | None = None
    """Seconds after which a request is given up; None for the target's default."""
    proven: bool = False
    """Whether it served before: its replicas are then started again without end."""
    runtime: Runtime | None = None
    """What a replica is, where a target has a choice; None for its default."""
    sandbox: Sandbox = field(default_factory=Sandbox)
    """What its model's code reaches of the machine."""
    image: str | None = None
    """Its image in a registry, `HOST/NAME@sha256:…`, for targets that run images."""
    pod: dict[str, Any] | None = None
    """The template of its pods, for targets that run pods."""
    exact: bool = False
    """Whether the number of replicas is a rollout's own, which nothing else may change."""
    returns: int = 0
    """How many replicas it had when it gave its room away, to come up with them again; after that
    an autoscaler sets the number. 0 where it gave none."""
    aliases: tuple[str, ...] = ()
    """Further names of its main model, which lead to it where no other service has them."""
    restarted_at: str | None = None
    """When a restart was last asked for: replicas that were not started for it are replaced."""
    retried_at: str | None = None
    """When it was last asked for again: what waits to be started again is started at once."""
    adopted: Adopted | None = None
    """What it is where it was made by hand: a target leaves its template as it is, and never
    removes it."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What one whole service should be; a revision without a placement is drained and removed."""

    service: str
    placements: tuple[Placement, ...] = ()
    split: Mapping[int, int] = field(default_factory=dict)
    """Percent of the traffic by revision; with 0 a revision is reached by header only."""
    operated: Operated = field(default_factory=Operated)
    asked: ModelRepository | None = None
    """The repository that a command is about; only `admit` and `foresee` look at it."""
    runtime: Runtime | None = None
    """What the replicas of `asked` are to be."""
    sandbox: Sandbox = field(default_factory=Sandbox)
    """What the model's code of `asked` may reach."""
    asked_pod: dict[str, Any] | None = None
    """The template of the pods of `asked`, for targets that run pods."""

    @property
    def repositories(self) -> tuple[ModelRepository, ...]:
        """Return the repositories of all placements, and the one that is asked for."""
        placed = tuple(placement.repository for placement in self.placements)
        return placed if self.asked is None else (*placed, self.asked)
