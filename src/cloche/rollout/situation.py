"""The input of `decide`: what is recorded and observed of one service, and the time limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cloche.artifacts import Attached, Revision, ServiceRecord, Verification
    from cloche.errors import ClocheError
    from cloche.targets import ServiceObservation


@dataclass(frozen=True, slots=True)
class Limits:
    """The seconds that a rollout may spend in each phase before it fails.

    A start may take the service's `start_timeout`, which also bounds each replica and the direct
    run of the model; `beyond_start` is added for the work around it.
    """

    pending: float = 300.0
    beyond_start: float = 60.0
    verifying: float = 900.0
    shifting: float = 60.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of one service now."""

    record: ServiceRecord
    revisions: Mapping[int, Revision]
    """The live one, that of the rollout, and those with replicas or traffic."""
    attached: Attached
    """The attachments of the rollout's revision."""
    observation: ServiceObservation
    now: datetime
    resumed: datetime
    """When this engine started; limits do not count the time before."""
    live: Verification | None = None
    """The latest verification of the live revision."""
    trouble: ClocheError | None = None
    """The current error of the rollout."""
    limits: Limits = field(default_factory=Limits)
