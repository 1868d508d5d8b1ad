"""One replica: a server process of one revision."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from cloche.artifacts import Runtime
from cloche.clients.kserve.client import UNIX
from cloche.sandbox import FILES, remedies
from cloche.targets import Placement, Replica, ReplicaPhase
from cloche.targets.local import confinement
from cloche.targets.local.health.replica_health import ReplicaHealth, Watching
from cloche.targets.local.lifecycle import Health, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.targets.local.processes import Marker
    from cloche.targets.local.software import ReplicaServer
    from cloche.targets.local.supervised import Launch, Record

_TELLING = {ReplicaPhase.FAILED, ReplicaPhase.RESTARTING}


class ReplicaProcess:
    """Tells a supervisor how to start, check and drain a replica (see `supervised`)."""

    def __init__(
        self,
        name: str,
        placement: Placement,
        *,
        serving: Path,
        log: Path,
        software: ReplicaServer,
        drained: Callable[[Record], bool],
        watching: Watching,
    ) -> None:
        self.name = name
        self.log = log
        self.placement = placement
        self.model_program = software.model_program(placement)
        self.memory_limit = software.memory_limit(placement)
        self._serving = serving
        self._software = software
        self._drained = drained
        self._health = ReplicaHealth(
            software.questions(placement),
            partial(software.judging, placement),
            start_limit=placement.start_limit,
            watching=watching,
        )

    def prepare(self, marker: Marker) -> Launch:
        return self._software.launch(self._serving, marker, self.placement, self.log)

    def health(self, record: Record) -> Health:
        if record.pid is None:
            return Health(ready=False)
        listens = partial(self._software.listens, self._serving, self.name, record)
        return self._health.of(record, listens)

    def doubt(self, why: str) -> None:
        """Have its next check begin with the golden request: somebody got a wrong answer."""
        self._health.doubt(why)

    def drained(self, record: Record) -> bool:
        # A sequence that is open may go on until it was idle for too long.
        idle = self.placement.repository.main.sequence_idle or 0.0
        return time.monotonic() - record.life.since >= idle and self._drained(record)

    def clean(self) -> None:
        self._health.close()
        self._software.clean(self._serving, self.name)

    def disconnect(self) -> None:
        self._health.close()


def describe(placement: Placement, record: Record, runtime: Runtime) -> Replica:
    """Return the Replica that a target shows for a record."""
    life = record.life
    running = record.pid is not None
    told = record.last_log if life.phase in _TELLING else ()
    closed = confinement.closed(placement.sandbox) if runtime is Runtime.PROCESS else None
    return Replica(
        id=record.name,
        service=placement.service,
        revision=placement.revision,
        phase=record.phase,
        restarts=life.restarts,
        since=record.phase_since,
        url=url_of(record),
        grpc=record.addresses[1] if running else None,
        pid=record.pid,
        runtime=runtime,
        closed=closed,
        detail=_detail(record, placement),
        last_log=told,
        remedy=remedies.of_files(told) if closed and FILES in closed else None,
        unready_since=record.unready_since,
        restarted_at=record.restarted_at,
    )


def url_of(record: Record) -> str | None:
    """Return the base URL of a replica, `unix:PATH` for a socket; None if it does not run."""
    if record.pid is None:
        return None
    address = record.addresses[0]
    return address if address.startswith(UNIX) else f"http://{address}"


def _detail(record: Record, placement: Placement) -> str | None:
    if record.life.detail is not None:
        return record.life.detail
    own = placement.lock is not None
    loading = "importing the model's packages and loading it" if own else "loading its model"
    return {
        Step.WAITING: "It is about to be started.",
        Step.STARTING: f"It is {loading}.",
        Step.DRAINING: "It is finishing its requests.",
        Step.ENDING: "It is ending.",
        Step.KILLING: "It did not end in time and is being killed.",
    }.get(record.life.step)
