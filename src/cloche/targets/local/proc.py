"""What the kernel says of processes (see proc(5)), and signals that reach the right one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("/proc")
NOT_OURS = (FileNotFoundError, ProcessLookupError, PermissionError)
"""A process has ended or belongs to another user. Any other error (too many open files, say) tells
nothing about it, and a server that runs must not be taken for ended: it is raised."""
_NAME_BYTES = 15
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_MOST_FILES = 2**16


@dataclass(frozen=True, slots=True)
class Status:
    """A process; see proc_pid_stat(5)."""

    name: str
    """The first 15 bytes of its program's name."""
    state: str
    parent: int
    session: int
    started: int
    """Clock ticks since boot; with the pid it identifies the process."""

    def runs(self, program: str) -> bool:
        """Return whether its program has a name."""
        return self.name == program[:_NAME_BYTES]


def pids() -> Iterator[int]:
    """Yield the pid of every process."""
    for name in os.listdir(FOLDER):  # noqa: PTH208 - thousands of Path objects for one number each
        if name.isdigit():
            yield int(name)


def status(pid: int, *, zombies: bool = False) -> Status | None:
    """Return what is known of a running process; raises OSError if that cannot be told."""
    try:
        text = (FOLDER / str(pid) / "stat").read_bytes()
    except NOT_OURS:
        return None
    # The name in parentheses may contain anything: count the fields from its end.
    end = text.rindex(b")")
    state, parent, _, session, *others = text[end + 2 :].split()
    if state in {b"Z", b"X"} and not zombies:
        return None
    name = os.fsdecode(text[text.index(b"(") + 1 : end])
    return Status(name, state.decode(), int(parent), int(session), int(others[15]))


def is_stopped(pid: int, started: int) -> bool:
    """Return whether a signal stopped the process that started then; a debugger does not count."""
    now = status(pid)
    return now is not None and now.started == started and now.state == "T"


def sockets(pid: int) -> frozenset[int]:
    """Return the inodes of the sockets that a process has open; none if it is not ours."""
    found = set()
    try:
        with os.scandir(FOLDER / str(pid) / "fd") as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    match = _SOCKET.fullmatch(os.readlink(entry.path))  # noqa: PTH115 - no Path each
                    if match is not None:
                        found.add(int(match[1]))
    except NOT_OURS:
        return frozenset()
    return frozenset(found)


def open_started(pid: int, started: int, *, zombies: bool = False) -> int | None:
    """Return a pidfd of the process that started then; None if there is no such process."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in {errno.ESRCH, errno.EINVAL}:  # EINVAL: the pid is now that of a thread
            return None
        raise
    try:
        # Read after the pidfd was opened, so that both refer to the same process.
        now = status(pid, zombies=zombies)
    except OSError:
        os.close(descriptor)
        raise
    if now is not None and now.started == started:
        return descriptor
    os.close(descriptor)
    return None


def until_ended(descriptor: int, seconds: float) -> bool:
    """Return whether the process of a pidfd ends within some seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def send(descriptor: int, number: signal.Signals) -> None:
    """Send a signal to the process of a pidfd; do nothing if it has ended."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return


def raise_limit_of_files(pid: int) -> None:
    """Let a process have as many files open as it could ask for itself, up to `_MOST_FILES`.

    Most systems begin with 1024: so many clients that send slowly would keep out all others.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):  # it may have ended
        given, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        enough = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
        if resource.RLIM_INFINITY != given < enough:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (enough, most))
