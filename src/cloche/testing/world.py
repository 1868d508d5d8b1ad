"""The in-memory place where a `MemoryTarget` runs services."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cloche.targets import Replica, ReplicaPhase
from cloche.testing.clock import START

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cloche.artifacts import Finding

_DETAILS = {
    ReplicaPhase.STARTING: "It is loading its model.",
    ReplicaPhase.UNREADY: "It runs, but does not answer its health check.",
    ReplicaPhase.RESTARTING: "It ended with exit code 1.",
    ReplicaPhase.FAILED: "exit code 1",
    ReplicaPhase.STOPPING: "It is finishing its requests.",
}
"""Why a replica is not ready, by phase."""


@dataclass
class World:
    """What runs in a place; it outlives its targets. Calls may come from any thread."""

    replicas: dict[str, Replica] = field(default_factory=dict)
    told: dict[str, dict[int, int]] = field(default_factory=dict)
    """The split of the traffic by service that the gateway was told."""
    seen: dict[str, dict[int, int]] = field(default_factory=dict)
    """The split of the traffic by service that the gateway serves."""
    failing: set[tuple[str, int]] = field(default_factory=set)
    """`(service, revision)` whose replicas fail to start."""
    gone: set[str] = field(default_factory=set)
    """Digests of repositories that are no longer kept."""
    gpu: bool = False
    """Whether the place has a GPU."""
    findings: tuple[Finding, ...] = ()
    """What the place has to say about every service."""
    gateway: bool = True
    """Whether the gateway runs."""
    stuck: bool = False
    """Whether the gateway ignores new splits."""
    down: bool = False
    writes: int = 0
    """How many changes a target made."""
    listeners: list[Callable[[], None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)
    _held: Counter[str] = field(default_factory=Counter)

    def advance(self) -> None:
        """Take each replica that starts or stops, and the gateway, one step further."""
        with self.lock:
            before = dict(self.replicas), self.seen
            for replica in list(self.replicas.values()):
                self._step(replica)
            if not self.gateway:
                self.seen = {}
            elif not self.stuck:
                self.seen = {service: dict(split) for service, split in self.told.items()}
            changed = before != (self.replicas, self.seen)
        if changed:
            self.notify()

    def _step(self, replica: Replica) -> None:
        if replica.phase is ReplicaPhase.STOPPING and not self._held[replica.id]:
            del self.replicas[replica.id]
        elif replica.phase is ReplicaPhase.STARTING:
            failed = (replica.service, replica.revision) in self.failing
            self._enter(replica, ReplicaPhase.FAILED if failed else ReplicaPhase.READY)

    def set_phase(self, name: str, phase: ReplicaPhase) -> None:
        """Put a replica into a phase."""
        with self.lock:
            self._enter(self.replicas[name], phase)
        self.notify()

    def _enter(self, replica: Replica, phase: ReplicaPhase) -> None:
        replica = replace(replica, phase=phase, detail=_DETAILS.get(phase))
        if phase is ReplicaPhase.FAILED:
            replica = replace(replica, url=None, last_log=("no such model",))
        elif phase is ReplicaPhase.READY:
            replica = replace(replica, url=f"http://{replica.id}")
        self.replicas[replica.id] = replica

    def start(self, service: str, revision: int, restarted_at: str | None = None) -> None:
        """Start one more replica of a revision, for a restart if one was asked for."""
        with self.lock:
            taken = {replica.id for replica in self.of(service, revision)}
            names = (f"{service}-r{revision}-{index}" for index in range(len(taken) + 1))
            name = next(name for name in names if name not in taken)
            self.replicas[name] = Replica(
                id=name,
                service=service,
                revision=revision,
                phase=ReplicaPhase.STARTING,
                restarts=0,
                since=START.isoformat(),
                url=f"http://{name}",
                detail=_DETAILS[ReplicaPhase.STARTING],
                restarted_at=restarted_at,
            )
        self.notify()

    def of(self, service: str, revision: int | None = None) -> list[Replica]:
        """Return the replicas of a service, or of one of its revisions."""
        with self.lock:
            return [
                replica
                for replica in self.replicas.values()
                if replica.service == service and revision in {None, replica.revision}
            ]

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Keep a replica from ending while the block lasts."""
        with self.lock:
            self._held[name] += 1
        try:
            yield
        finally:
            with self.lock:
                self._held[name] -= 1

    def keep_only(self, services: Collection[str]) -> None:
        """Begin to stop the replicas of every other service."""
        for replica in list(self.replicas.values()):
            if replica.service not in services:
                self.set_phase(replica.id, ReplicaPhase.STOPPING)
        with self.lock:
            self.told = {name: split for name, split in self.told.items() if name in services}

    def end(self) -> None:
        """End everything."""
        with self.lock:
            self.replicas.clear()
            self.told, self.seen = {}, {}
            self.down = True
        self.notify()

    def notify(self) -> None:
        """Call the listeners: something has changed."""
        for listener in list(self.listeners):
            listener()
