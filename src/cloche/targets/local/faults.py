"""What is wrong with a running server and shows without asking it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.targets.local import memory
from cloche.targets.local.lifecycle import CHECKED, Health, Step

if TYPE_CHECKING:
    from cloche.targets.local.processes import ServerProcess


def of(process: ServerProcess, memory_limit: int | None) -> Health | None:
    """Return the fault of a server that needs a new process, None if there is none."""
    pid = process.ended_model()
    if pid is not None:
        why = f"A process of its model ended by itself (pid {pid})."
        return Health(ready=False, why=why, replace=True, dead=True)
    return memory.excess(process.pid, memory_limit)


def pause(step: Step, seconds: float | None, memory_limit: int | None) -> float | None:
    """Return when to look again, by what is planned for a step: memory grows faster than that."""
    if memory_limit is None or step not in CHECKED:
        return seconds
    return min(seconds or 0.0, memory.EVERY)
