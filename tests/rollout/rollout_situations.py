"""Situations of a rollout, each of which a test names in one line."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cloche.artifacts import (
    Attached,
    Cause,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    Revision,
    Rollout,
    ServiceRecord,
    Verification,
)
from cloche.errors import ClocheError, UnavailableError
from cloche.rollout.situation import Limits, Situation
from cloche.targets import Endpoint, Replica, ReplicaPhase, ServiceObservation
from cloche.testing import START, deployment, verification

READY, STARTING, FAILED = ReplicaPhase.READY, ReplicaPhase.STARTING, ReplicaPhase.FAILED
STOPPING = ReplicaPhase.STOPPING
PASSED, WRONG = verification(), verification(passed=False)
ENDPOINT = Endpoint("http://127.0.0.1:8080", "127.0.0.1:8080", True, log="logs/gateway.log")


def revision(number: int) -> Revision:
    asked = deployment(model=str(number))
    return Revision("digits", number, asked.digest, asked, START.isoformat())


def replica(number: int, phase: ReplicaPhase = READY, index: int = 0) -> Replica:
    name = f"digits-r{number}-{index}"
    return Replica(
        name, "digits", number, phase, 0, START.isoformat(), f"http://{name}",
        detail="out of memory" if phase is FAILED else None,
        last_log=("killed",) if phase is FAILED else (),
    )  # fmt: skip


def rollout(
    phase: Phase,
    checked: Verification | None = None,
    *,
    to: int = 2,
    live: int | None = None,
    outcome: Outcome | None = None,
    verify: bool = True,
) -> Rollout:
    shifting = phase is Phase.SHIFTING
    since = START.isoformat()
    return Rollout(
        to, live, Cause.DEPLOY, "", since, phase, since,
        verify=verify, step=int(shifting), weight=100 * int(shifting), verification=checked,
        outcome=outcome,
    )  # fmt: skip


def situation(
    moving: Rollout | Outcome | None,
    *replicas: Replica,
    live: int | None = None,
    routed: int | None = None,
    count: int = 1,
    deleting: bool = False,
    after: float = 1.0,
    resumed: float = 0.0,
    trouble: ClocheError | None = None,
) -> Situation:
    """Return a situation `after` seconds into the phase of a rollout; an outcome is its end."""
    if isinstance(moving, Outcome):
        moving = rollout(Phase.ENDED, outcome=moving, to=2, live=live)
    return Situation(
        record=ServiceRecord(
            "digits",
            Operated(replicas=ReplicaRange.exactly(count), start_timeout=90),
            live,
            (moving,) if moving is not None else (),
            deleting=deleting,
        ),
        revisions={number: revision(number) for number in (1, 2, 3)},
        attached=Attached(),
        observation=ServiceObservation(
            "digits", ENDPOINT, {routed: 100} if routed else {}, replicas
        ),
        now=START + timedelta(seconds=after),
        resumed=START + timedelta(seconds=resumed),
        trouble=trouble,
        limits=Limits(pending=100, beyond_start=10, verifying=100, shifting=10),
    )


pending = rollout(Phase.PENDING)
starting = rollout(Phase.STARTING)
unasked = rollout(Phase.STARTING, verify=False)
verifying = rollout(Phase.VERIFYING)
verified = rollout(Phase.VERIFYING, PASSED)
shifting = rollout(Phase.SHIFTING, PASSED)
paused = replace(shifting, paused=True)
live_one = Outcome.COMPLETED
refused = ClocheError("golden.refused", "The model refused the request.", hint="Log an example.")
unreachable = UnavailableError("infer.unreachable", "Nothing answered.")
