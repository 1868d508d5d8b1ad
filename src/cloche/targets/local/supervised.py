"""What a supervisor keeps running, how it is started, and what is recorded of it."""

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
    """What to start: the argument list, the whole environment, the ports that it will bind."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """All that is kept of a server on disk; `pid` is None until its start is known to be done."""

    name: str
    boot: str
    life: Life
    phase_since: str
    run: str | None = None
    pid: int | None = None
    started: int | None = None
    ports: tuple[int, ...] = ()
    log_start: int = 0
    """Bytes of the log when this process began to write."""
    last_log: tuple[str, ...] = ()


class Supervised(Protocol):
    """Tells a supervisor how to start, check and drain one kind of server."""

    name: str
    log: Path

    def prepare(self, marker: Marker) -> Launch:
        """Return what to start; raises ClocheError when it cannot be started."""

    def healthy(self, record: Record) -> bool:
        """Ask the server whether it is ready, within two seconds."""

    def drained(self, record: Record) -> bool:
        """Return whether no request is on its way to the server or in it."""

    def clean(self) -> None:
        """Remove what the server left behind; nothing of it runs."""

    def disconnect(self) -> None:
        """Close what is open towards the server, which may run on."""
