"""Taking over the record of a server from an earlier supervisor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.targets.local import processes
from cloche.targets.local.lifecycle import Life, Step
from cloche.targets.local.processes import Marker, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.targets.local.processes import MarkedProcess
    from cloche.targets.local.supervised import Record


def resumed(
    record: Record, running: MarkedProcess | None, home: Path, now: float
) -> tuple[Record, ServerProcess | None]:
    """Return the record to go on with, and its process; `running` is the server if it still runs.

    `now` is in seconds of CLOCK_MONOTONIC.
    """
    life = record.life
    if record.boot != processes.boot():
        life = Life(after=life.after, since=now, due=now)
        record = replace(record, boot=processes.boot(), life=life, pid=None)
    if running is not None:
        record = replace(record, pid=running.pid, started=running.started)
    if record.pid is not None and record.started is not None:
        marker = Marker(home, record.name, record.run or "")
        process = processes.adopt(record.pid, record.started, marker)
        if process is None:
            return replace(record, pid=None, started=None), None
        process.watch_models(record.models)
        return record, process
    if life.step is Step.STARTING and record.pid is None:
        # Recorded, but never started: there is no process whose end could count.
        record = replace(record, life=replace(life, step=Step.WAITING, due=now))
    return record, None
