"""Events for changes of replicas: a target shows only the current state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import EventKind
from cloche.targets import ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloche.control.records import Records
    from cloche.targets import Replica, ServiceObservation

_REPORTABLE = frozenset(
    {
        ReplicaPhase.READY,
        ReplicaPhase.UNREADY,
        ReplicaPhase.RESTARTING,
        ReplicaPhase.FAILED,
    }
)


class ReplicaWatch:
    """Compares each observation of a service with the last one; the first one makes no event."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._before: dict[str, dict[str, Replica]] = {}

    def note(self, observation: ServiceObservation) -> bool:
        """Record an event for each replica whose phase changed; return whether any did."""
        seen = {replica.id: replica for replica in observation.replicas}
        before = self._before.get(observation.service)
        self._before[observation.service] = seen
        if before is None:
            return False
        changed = [
            replica
            for replica in seen.values()
            if replica.phase in _REPORTABLE and _differs(before.get(replica.id), replica)
        ]
        for replica in changed:
            self._records.tell(
                replica.service,
                EventKind.REPLICA,
                f"{replica.id} {_phase_text(replica)}" + _why(replica),
                revision=replica.revision,
                detail={
                    "replica": replica.id,
                    "phase": replica.phase.value,
                    "restarts": replica.restarts,
                },
            )
        return bool(changed)

    def prune(self, services: Collection[str]) -> None:
        """Forget services that are gone."""
        self._before = {name: seen for name, seen in self._before.items() if name in services}


def _differs(before: Replica | None, now: Replica) -> bool:
    if before is None:
        return True
    # Its end is counted a little after it began to end, in the same phase.
    ended_again = before.restarts != now.restarts and before.since != now.since
    return ended_again or (before.phase, _degraded(before)) != (now.phase, _degraded(now))


def _degraded(replica: Replica) -> bool:
    """Return whether something is wrong with a replica though it is ready."""
    return replica.phase is ReplicaPhase.READY and replica.detail is not None


def _phase_text(replica: Replica) -> str:
    if _degraded(replica):
        return "is degraded"
    failed = replica.phase is ReplicaPhase.FAILED
    return "has failed" if failed else f"is {replica.phase.value}"


def _why(replica: Replica) -> str:
    return f": {replica.detail}" if replica.detail else "."
