"""A target in memory, over a `World` that outlives it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche.errors import ClocheError, UnavailableError, UsageError
from cloche.refusals import needs_gpu
from cloche.targets import (
    ApplyError,
    Endpoint,
    Gateway,
    ReplicaAddress,
    ReplicaPhase,
    ServiceObservation,
    TargetChange,
)
from cloche.targets.replacing import Staying, next_step
from cloche.testing.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloche.artifacts import Finding, ObjectChange
    from cloche.targets import Desired, Placement, Replica


class MemoryTarget:
    """Implements `cloche.targets.Target` and `Host`; its replicas are entries of a `World`."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.refuses: ClocheError | None = None
        """The error for every further revision; None places it."""
        self.followed = threading.Event()
        """Set when a reader of a followed log disconnects."""

    # ── host ──────────────────────────────────────────────────────────────────────────────────

    def start(self, services: tuple[str, ...]) -> None:
        self.world.down = False
        self.world.keep_only(services)

    def replicas(self) -> tuple[Replica, ...]:
        with self.world.lock:
            return tuple(self.world.replicas.values())

    def close(self) -> None:
        """Leave the world as it is."""

    def down(self) -> None:
        self.world.end()

    # ── target ────────────────────────────────────────────────────────────────────────────────

    @property
    def autoscales(self) -> bool:
        return False

    @property
    def retries(self) -> bool:
        return False

    def admit(self, desired: Desired) -> None:
        for replicas in (desired.operated.replica_range, *(p.replicas for p in desired.placements)):
            if replicas.minimum < 1:
                what = "Only 1 replica or more is served in memory."
                raise UsageError("target.memory.replicas", what, hint="Write replicas: 1.")
        for placement in desired.placements:
            self._require_kept(placement)
        for repository in desired.repositories:
            if repository.gpu_models and not self.world.gpu:
                raise needs_gpu("target.memory.gpu", repository.gpu_models)

    def require_room(self, desired: Desired) -> None:
        """Have room for all."""

    def foresee(self, desired: Desired) -> tuple[Finding, ...]:  # noqa: ARG002
        return self.world.findings

    def apply(self, desired: Desired) -> None:
        service, split = desired.service, dict(desired.split)
        errors: dict[int | None, ClocheError] = {}
        for placement in desired.placements:
            try:
                self._place(placement)
            except ClocheError as error:
                errors[placement.revision] = error
        with self.world.lock:
            if self.world.told.get(service, {}) != split:
                self.world.writes += 1
                self.world.told[service] = split
                if not split:
                    del self.world.told[service]
        placed = {placement.revision for placement in desired.placements}
        for replica in self._staying(service):
            if replica.revision not in placed:
                self._stop(replica)
        if errors:
            raise ApplyError(service, errors)

    def diff(self, desired: Desired) -> tuple[TargetChange, ...]:
        changes = []
        placed = {placement.revision: placement for placement in desired.placements}
        running = {replica.revision for replica in self._staying(desired.service)}
        for number, placement in placed.items():
            count = len(self._staying(desired.service, number))
            if count != placement.replicas.minimum:
                what = f"go from {count} to {placement.replicas.minimum} replicas"
                changes.append(TargetChange(number, what))
        changes += [TargetChange(number, "stop") for number in sorted(running - placed.keys())]
        if self.world.told.get(desired.service, {}) != dict(desired.split):
            changes.append(TargetChange(None, f"route {dict(desired.split)}"))
        return tuple(changes)

    def compare(self, desired: Desired) -> tuple[ObjectChange, ...]:  # noqa: ARG002
        return ()

    def observe(self, service: str) -> ServiceObservation:
        gateway = self.gateway()
        endpoint = Endpoint(gateway.http, gateway.grpc, gateway.ready, gateway.detail)
        with self.world.lock:
            split = dict(self.world.seen.get(service, {}))
            return ServiceObservation(service, endpoint, split, tuple(self.world.of(service)))

    def gateway(self) -> Gateway:
        ready = self.world.gateway and not self.world.down
        detail = None if ready else "It does not run."
        return Gateway(ready, "http://127.0.0.1:8080", "127.0.0.1:8080", detail=detail)

    @contextmanager
    def reach(
        self, service: str, revision: int, replica: str | None = None
    ) -> Iterator[ReplicaAddress]:
        for each in self.world.of(service, revision):
            if each.phase is ReplicaPhase.READY and replica in {None, each.id} and each.url:
                with self.world.held(each.id):
                    yield ReplicaAddress(each.url)
                return
        what = f"No replica of revision {revision} of {service} is ready."
        raise UnavailableError("target.unreachable", what, where=replica or service)

    def doubt(self, service: str, revision: int, address: ReplicaAddress, why: str) -> None:
        """Do nothing: no answer is judged here."""

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        read: set[str] = set()
        try:
            while True:
                names = [replica.id for replica in self.world.of(service, revision)]
                fresh = [name for name in names if name not in read]
                for name in fresh:
                    yield from ((name, f"line {number}") for number in range(lines))
                read.update(fresh)
                if not follow:
                    return
                yield "", ""
                threading.Event().wait(0.01)
        finally:
            self.followed.set()

    def subscribe(self, listener: Callable[[], None]) -> None:
        self.world.listeners.append(listener)

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _staying(self, service: str, revision: int | None = None) -> list[Replica]:
        replicas = self.world.of(service, revision)
        return [replica for replica in replicas if replica.phase is not ReplicaPhase.STOPPING]

    def _require_kept(self, placement: Placement) -> None:
        if placement.repository.digest in self.world.gone:
            where = f"{placement.service} revision {placement.revision}"
            raise ClocheError("target.memory.files", "its files are no longer kept.", where=where)

    def _place(self, placement: Placement) -> None:
        service, revision = placement.service, placement.revision
        with self.world.lock:
            staying = self._staying(service, revision)
            if not staying:
                self._require_kept(placement)
                if self.refuses is not None:
                    raise self.refuses
            step = next_step(
                [_staying(replica, placement) for replica in staying], placement.replicas.minimum
            )
            for _ in range(step.start):
                self.world.writes += 1
                self.world.start(service, revision, placement.restarted_at)
            for replica in staying:
                if replica.id in step.stop:
                    self._stop(replica)

    def _stop(self, replica: Replica) -> None:
        self.world.writes += 1
        self.world.set_phase(replica.id, ReplicaPhase.STOPPING)


def _staying(replica: Replica, placement: Placement) -> Staying:
    outdated = placement.restarted_at not in {None, replica.restarted_at}
    ready = replica.phase is ReplicaPhase.READY
    return Staying(replica.id, ready, ready, outdated)


class LivingTarget(MemoryTarget):
    """A target in memory that advances its world a step at each observation."""

    def compare(self, desired: Desired) -> tuple[ObjectChange, ...]:  # noqa: ARG002
        return ()

    def observe(self, service: str) -> ServiceObservation:
        self.world.advance()
        return super().observe(service)
