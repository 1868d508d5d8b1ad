"""Processors that do not fall asleep while something is measured.

On a virtual machine an idle processor halts, and waking it is up to the host, which may take from
microseconds to milliseconds (counted as `steal` in proc_stat(5)). Servers that hand a request from
process to process pay for it at each hand-over, so that the host is measured and not the server. A
loop of the lowest scheduling class on each processor (SCHED_IDLE, sched(7)) keeps it from halting
and gives way at once to anything else, as `idle=poll` on the kernel's command line would.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def processors_awake() -> Iterator[None]:
    """Keep every processor that this process may use from halting while the block runs."""
    loops = [
        subprocess.Popen([sys.executable, "-m", "bench.awake", str(processor)])
        for processor in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _loop(processor: int) -> None:
    """Keep one processor busy with the lowest priority until the parent process ends."""
    parent = os.getppid()
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


if __name__ == "__main__":
    _loop(int(sys.argv[1]))
