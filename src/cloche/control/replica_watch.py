"""What becomes of replicas, as events: their target shows only how they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.targets.target import ReplicaPhase

if TYPE_CHECKING:
    from cloche.state.state import State
    from cloche.targets.target import Observation, Replica

_TOLD = frozenset(
    {
        ReplicaPhase.READY,
        ReplicaPhase.UNREADY,
        ReplicaPhase.RESTARTING,
        ReplicaPhase.FAILED,
    }
)


class ReplicaWatch:
    """Compares each observation with the one before; the first one of a process tells nothing."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._before: dict[str, Replica] | None = None

    def note(self, observation: Observation) -> bool:
        """Record an event for each replica that came to another phase; returns whether any did."""
        seen = {replica.id: replica for replica in observation.replicas}
        before, self._before = self._before, seen
        if before is None:
            return False
        changed = [
            replica
            for replica in seen.values()
            if replica.phase in _TOLD and _differs(before.get(replica.id), replica)
        ]
        for replica in changed:
            self._state.record(
                replica.service,
                "replica",
                f"{replica.id} {_said(replica.phase)}" + _why(replica),
                revision=replica.revision,
                replica=replica.id,
                phase=replica.phase.value,
                restarts=replica.restarts,
            )
        return bool(changed)


def _differs(before: Replica | None, now: Replica) -> bool:
    if before is None:
        return True
    return (before.phase, before.restarts) != (now.phase, now.restarts)


def _said(phase: ReplicaPhase) -> str:
    return "has failed" if phase is ReplicaPhase.FAILED else f"is {phase.value}"


def _why(replica: Replica) -> str:
    return f": {replica.detail}" if replica.detail else "."
