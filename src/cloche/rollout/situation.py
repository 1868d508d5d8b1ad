"""Everything that decides what to do for one service: what is recorded, observed and too late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.targets import Replica, ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cloche.artifacts import Attached, Revision, ServiceRecord
    from cloche.errors import ClocheError
    from cloche.targets import ServiceObservation


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a rollout may stay in a phase, in seconds, before it fails.

    A start may take what the service's `start_timeout` says, which also bounds each replica and the
    direct run of the model; `beyond_start` is for what comes around it.
    """

    pending: float = 300.0
    beyond_start: float = 60.0
    verifying: float = 900.0
    shifting: float = 60.0


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that decides what to do for one service now."""

    record: ServiceRecord
    revisions: Mapping[int, Revision]
    """The live one, the one of the rollout, and those of which something runs."""
    attached: Attached
    """What is attached to the revision of the rollout."""
    observation: ServiceObservation
    now: datetime
    resumed: datetime
    """When this engine began: no limit runs while there was none."""
    trouble: ClocheError | None = None
    """What goes wrong with the rollout at the moment."""
    limits: Limits = field(default_factory=Limits)

    def ready(self, number: int) -> tuple[Replica, ...]:
        """Return the ready replicas of a revision."""
        return tuple(one for one in self.of(number) if one.phase is ReplicaPhase.READY)

    def of(self, number: int) -> tuple[Replica, ...]:
        """Return the replicas of a revision."""
        return tuple(one for one in self.observation.replicas if one.revision == number)
