"""What a supervisor keeps running: its launch, its record and its checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cloche.targets.local.lifecycle import Life

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.targets.local.processes import Marker


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: the argument list, the whole environment, the ports that it binds."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    ports: tuple[int, ...] = ()


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
    ports: tuple[int, ...] = ()
    log_start: int = 0
    """Size of the log in bytes when this process began to write."""
    last_log: tuple[str, ...] = ()
    restarted_at: str | None = None
    """The restart of its service that it was started for."""


class Supervised(Protocol):
    """Tells a supervisor how to start, check and drain one kind of server."""

    name: str
    log: Path

    def prepare(self, marker: Marker) -> Launch:
        """Return what to start; raises ClocheError if it cannot be started."""

    def healthy(self, record: Record) -> bool:
        """Return whether the server is ready, within two seconds."""

    def drained(self, record: Record) -> bool:
        """Return whether the server has no request and none is on its way to it."""

    def clean(self) -> None:
        """Remove what the server left behind, after all its processes ended."""

    def disconnect(self) -> None:
        """Close the connections to the server, which may run on."""
