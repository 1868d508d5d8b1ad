"""What a supervisor keeps running: its launch, its record and its checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cloche.targets.local.lifecycle import Health, Life
from cloche.targets.target import ReplicaPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.targets.local.processes import Marker


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: the argument list, the whole environment, the addresses that it binds.

    `inherited` is a descriptor that it has open as long as it runs.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    addresses: tuple[str, ...] = ()
    inherited: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """The record of a server on disk; `pid` is None until its process is known to be started."""

    name: str
    boot: str
    life: Life
    phase_since: str
    run: str | None = None
    pid: int | None = None
    started: int | None = None
    addresses: tuple[str, ...] = ()
    """`127.0.0.1:18000` or `unix:/run/a.http`; a replica's are for HTTP, gRPC and metrics."""
    log_start: int = 0
    """Size of the log in bytes when this process began to write."""
    last_log: tuple[str, ...] = ()
    restarted_at: str | None = None
    """The restart of its service that it was started for."""
    models: tuple[tuple[int, int], ...] = ()
    """The processes in which it runs its models: pid, and start in clock ticks since boot."""
    unready_since: str | None = None
    """When a server that was ready stopped being so."""

    @property
    def phase(self) -> ReplicaPhase:
        """Return the phase to show: what has just ended is not ready, whatever comes next."""
        ended = self.life.phase is ReplicaPhase.READY and self.pid is None
        return ReplicaPhase.RESTARTING if ended else self.life.phase

    def entering(self, life: Life, now: str) -> Record:
        """Return the record with another life, and since when it is so; `now` is ISO 8601."""
        since = self.phase_since if life.phase is self.life.phase else now
        unready_since = self.unready_since
        if life.phase is ReplicaPhase.READY:
            unready_since = None
        elif self.life.phase is ReplicaPhase.READY:
            unready_since = now
        return replace(self, life=life, phase_since=since, unready_since=unready_since)


class Supervised(Protocol):
    """Tells a supervisor how to start, check and drain one kind of server."""

    name: str
    log: Path
    model_program: str | None
    """The program of the processes in which it runs its models, if it has such children."""
    memory_limit: int | None
    """Bytes of memory above which it is ended and started again."""

    def prepare(self, marker: Marker) -> Launch:
        """Return what to start; raises ClocheError if it cannot be started."""

    def health(self, record: Record) -> Health:
        """Return whether the server is ready and how well it is, within two seconds."""

    def drained(self, record: Record) -> bool:
        """Return whether the server has no request and none is on its way to it."""

    def clean(self) -> None:
        """Remove what the server left behind, after all its processes ended."""

    def disconnect(self) -> None:
        """Close the connections to the server, which may run on."""
