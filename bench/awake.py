"""Keeping processors from halting during a measurement.

On a virtual machine an idle processor halts, and waking it is up to the host, which may take from
microseconds to milliseconds (counted as `steal` in proc_stat(5)). Servers that hand a request from
process to process pay for it at each hand-over, and the host is measured, not the server. A loop on
each processor, in a control group that runs only when nothing else does (`cpu.idle`), prevents
halting, as `idle=poll` on the kernel's command line would. The scheduling class
SCHED_IDLE alone is not enough: with autogroups (sched(7)) it only gives way within its session.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_AWAKE = "Processors were kept from halting, for all alike."
MAY_HALT = "Processors could halt between requests."


@contextlib.contextmanager
def processors_awake() -> Iterator[str]:
    """Keep every processor from halting while the block runs; yield a sentence for the report.

    Without a control group (which needs root), processors halt as usual.
    """
    with contextlib.ExitStack() as stack:
        try:
            group = stack.enter_context(_idle_group())
        except OSError as error:
            print(f"{MAY_HALT} A control group cannot be made: {error}", file=sys.stderr)
            yield MAY_HALT
            return
        for processor in sorted(os.sched_getaffinity(0)):
            stack.enter_context(_loop_on(processor, group))
        yield KEPT_AWAKE


@contextlib.contextmanager
def _idle_group() -> Iterator[Path]:
    group = _cpu_hierarchy() / f"cloche-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.idle").write_text("1")
        yield group
    finally:
        group.rmdir()


def _cpu_hierarchy() -> Path:
    """Return the folder of control groups with the cpu controller, version 1 or 2."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(folder)
        controllers = Path(folder) / "cgroup.subtree_control"
        if kind == "cgroup2" and "cpu" in controllers.read_text().split():
            return Path(folder)
    raise FileNotFoundError("there is no hierarchy with the cpu controller")


@contextlib.contextmanager
def _loop_on(processor: int, group: Path) -> Iterator[None]:
    loop = subprocess.Popen([sys.executable, "-m", "bench.awake", str(processor)])
    try:
        (group / "cgroup.procs").write_text(str(loop.pid))
        yield
    finally:
        loop.kill()
        loop.wait()


def _loop(processor: int) -> None:
    """Keep one processor busy until the parent process ends."""
    parent = os.getppid()
    os.sched_setaffinity(0, {processor})
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


if __name__ == "__main__":
    _loop(int(sys.argv[1]))
