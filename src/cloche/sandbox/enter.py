"""Puts on a sandbox and becomes a program: `python enter.py WALLS PROGRAM ARGUMENT…`.

Process, parent, session, output and variables stay as they are. WALLS is a JSON object with what
the sandbox leaves (`walls.Walls`). What the kernel could not close is written to `open`; what is in
`needs` has to be closed, or the program does not start. Syntax for Python 3.8.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import resource
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
import landlock
import namespaces
import seccomp

_DEVICES = (
    "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm",
    "nvidia*", "dxg", "dri", "kfd", "infiniband",
)  # fmt: skip
"""What programs open of /dev: never a disk, or memory."""
_OF_MACHINE = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger")
_DROP_BOUND = 24  # PR_CAPBSET_DROP of prctl(2)
_KEPT = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 14, 18, 23, 29, 31}
"""Capabilities that root keeps: those of a container, without that to make devices."""
_CAPABILITIES = 64


def main(walls: dict[str, Any], command: list[str]) -> None:
    closed, start = {}, walls["start"] or os.getcwd()  # noqa: PTH109
    if not walls["network"]:
        closed["network"] = namespaces.leave_network() or seccomp.leave_network()
    if walls["hide"]:
        closed["sockets"] = namespaces.hide(walls["hide"], walls["read"], walls["write"])
    # A folder that was entered before is not hidden.
    _start_in(start)
    if walls["files"]:
        instead = {} if closed.get("sockets") else walls["instead"]
        closed["files"] = landlock.restrict(_rules(walls, instead))
        if sys.platform.startswith("linux"):
            _drop_capabilities()
    left = [what for what, is_closed in closed.items() if not is_closed]
    if walls["open"]:
        with open(walls["open"], "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(left, file)
    missing = sorted(set(walls["needs"]) & set(left))
    if missing:
        sys.exit(f"This kernel cannot close the {' and the '.join(missing)} to it.")
    _limit(walls["limits"])
    if walls["mask"] is not None:
        os.umask(walls["mask"])
    os.environ.update(walls["variables"])
    try:
        os.execv(command[0], command)  # noqa: S606 - the caller's own words
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}.")


def _start_in(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError:
        os.chdir("/")


def _rules(walls: dict[str, Any], instead: dict[str, bool]) -> list[tuple[str, int]]:
    devices = [path for name in _DEVICES for path in glob.glob(f"/dev/{name}")]  # noqa: PTH207
    return [
        ("/dev", landlock.READ_FOLDER),
        (_processes(), landlock.READ | landlock.CHANGE_FILE),
        *((path, landlock.READ) for path in walls["read"]),
        *((path, landlock.WRITE) for path in (*walls["write"], *devices)),
        *((path, landlock.WRITE if all_ else landlock.FOLDERS) for path, all_ in instead.items()),
    ]


def _processes() -> str:
    """Return where names of threads may be written: CUDA does not start where it cannot.

    Memory of other processes is closed by Landlock, which bounds ptrace(2). Where root could change
    the machine by what else is in /proc, children name no threads.
    """
    changes_machine = any(os.access(path, os.W_OK) for path in _OF_MACHINE)
    return f"/proc/{os.getpid()}" if changes_machine else "/proc"


def _drop_capabilities() -> None:
    """Have root be no more than the owner of files, as in a container."""
    libc = ctypes.CDLL(None)
    for capability in range(_CAPABILITIES):
        if capability not in _KEPT:
            libc.prctl(_DROP_BOUND, capability, 0, 0, 0)


def _limit(limits: dict[str, int]) -> None:
    for name, wanted in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
