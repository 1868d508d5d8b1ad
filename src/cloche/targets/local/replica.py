"""One replica: a server process of one revision."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cloche.targets import Placement, Replica, ReplicaPhase
from cloche.targets.local import ports
from cloche.targets.local.health import HealthCheck
from cloche.targets.local.lifecycle import Step
from cloche.targets.local.software import PORTS
from cloche.targets.local.warmup import WarmUp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.artifacts import Runtime
    from cloche.targets.local.ports import Ports
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
        ports_of_home: Ports,
        drained: Callable[[Record], bool],
    ) -> None:
        self.name = name
        self.log = log
        self.placement = placement
        self._serving = serving
        self._software = software
        self._ports = ports_of_home
        self._drained = drained
        self._health = HealthCheck(software.ready_paths(placement.repository))
        first = software.first_request(placement)
        self._warm_up = WarmUp(first, placement.start_limit) if first is not None else None
        self._listening: tuple[int | None, tuple[int, ...]] | None = None

    def prepare(self, marker: Marker) -> Launch:  # noqa: ARG002 - it goes into the environment
        return self._software.launch(self._serving, self.name, self._ports.take(self.name, PORTS))

    def healthy(self, record: Record) -> bool:
        if record.pid is None or not self._health.ready(record.ports[0]):
            return False
        if self._listening != (record.pid, record.ports):
            if not self._software.listens(self._serving, self.name, record):
                return False
            self._listening = (record.pid, record.ports)
        starting = record.life.step is Step.STARTING
        return self._warm_up is None or not starting or self._warm_up.done(record)

    def drained(self, record: Record) -> bool:
        # A sequence that is open may go on until it was idle for too long.
        idle = self.placement.repository.main.sequence_idle or 0.0
        return time.monotonic() - record.life.since >= idle and self._drained(record)

    def clean(self) -> None:
        self._health.close()
        self._software.clean(self._serving, self.name)
        self._ports.release(self.name)

    def disconnect(self) -> None:
        self._health.close()


def describe(placement: Placement, record: Record, runtime: Runtime) -> Replica:
    """Return the Replica that a target shows for a record."""
    life = record.life
    running = record.pid is not None
    return Replica(
        id=record.name,
        service=placement.service,
        revision=placement.revision,
        phase=life.phase,
        restarts=life.restarts,
        since=record.phase_since,
        url=f"http://{ports.LOOPBACK}:{record.ports[0]}" if running else None,
        grpc=f"{ports.LOOPBACK}:{record.ports[1]}" if running else None,
        pid=record.pid,
        runtime=runtime,
        detail=_detail(record, placement),
        last_log=record.last_log if life.phase in _TELLING else (),
        restarted_at=record.restarted_at,
    )


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
