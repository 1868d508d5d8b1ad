"""Processes that another command started: daemons, pods, and the shims beside those."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from cluster.harness.errors import HarnessError

WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""The words before a command that has to end with the thread that starts it, even by a kill."""
_END_SECONDS = 20.0


def started(pid: int) -> int:
    """Return when a process began, in ticks since the machine did; raises OSError without it.

    As a time of day it would move with the clock.
    """
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that ended does not, though the machine's init has not yet reaped it.

    With a thread left it still holds its ports.
    """
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return process.is_running() and not ended
    except psutil.NoSuchProcess:
        return False


def ended(processes: Iterable[psutil.Process], seconds: float) -> bool:
    """Wait until all have ended; return False where that takes too long."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left := [process for process in left if alive(process)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill(pids: Iterable[int]) -> None:
    """Kill processes, and wait until they have ended; raises HarnessError where one does not."""
    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
            found[-1].kill()
        except psutil.NoSuchProcess:
            continue
    if not ended(found, _END_SECONDS):
        raise HarnessError(f"processes that do not end: {[each.pid for each in found]}")


def naming(path: Path) -> set[int]:
    """Return the ids of those that have a path among their words, as shims have their socket."""
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(path) in (process.info["cmdline"] or ())
    }
