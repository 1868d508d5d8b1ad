"""Processes that outlive the one that started them: spawn, find again, watch, end.

Each server runs in a session of its own with a marker in its environment: `CLOCHE_HOME`,
`CLOCHE_REPLICA` (its name) and `CLOCHE_RUN` (a token of this one start). The marker is what makes a
process ours: it is readable in `/proc/PID/environ` from the moment the program runs, so that even a
process whose starter was killed before it could write down the pid is found, and adopted or ended.

A process is watched through a pidfd, which cannot come to mean another process; see pidfd_open(2).
The children that this very process started are reaped through it, adopted ones by the system.
"""

from __future__ import annotations

import os
import select
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Marker:
    """The home, the name and the start of a server, carried in its environment."""

    home: Path
    name: str
    run: str

    @staticmethod
    def new(home: Path, name: str) -> Marker:
        """Return the marker of a start that is about to happen."""
        return Marker(home, name, uuid.uuid4().hex)

    def environment(self) -> dict[str, str]:
        """Return the variables that carry the marker."""
        return {
            "CLOCHE_HOME": os.path.realpath(self.home),
            "CLOCHE_REPLICA": self.name,
            "CLOCHE_RUN": self.run,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """A running process that carries a marker of some home."""

    pid: int
    started: int
    """When it started, in clock ticks since boot: with the pid, it names one process."""
    session: int
    marker: Marker

    @property
    def leads(self) -> bool:
        """Return whether it is the server itself and not a process that the server started."""
        return self.session == self.pid


def boot() -> str:
    """Return the kernel's name for this boot: records of another one name no running process."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find(home: Path) -> list[Found]:
    """Return every running process that carries the marker of this home."""
    wanted = os.path.realpath(home)
    found = []
    for pid in _pids():
        marked = _marked(pid)
        if marked is not None and str(marked.marker.home) == wanted:
            found.append(marked)
    return found


class ServerProcess:
    """One running server, started here or adopted; close() lets go of it and leaves it running."""

    def __init__(self, pid: int, started: int, marker: Marker, descriptor: int) -> None:
        self.pid = pid
        self.started = started
        self.marker = marker
        self._descriptor = descriptor
        self._ended: str | None = None

    def fileno(self) -> int:
        """Return the pidfd: it becomes readable when the process ends."""
        return self._descriptor

    def ended(self) -> str | None:
        """Return how the process ended, as the end of a sentence, and reap it; None: it runs."""
        if self._ended is None and _until_readable(self._descriptor, 0):
            self._ended = _reap(self._descriptor)
        return self._ended

    def terminate(self) -> None:
        """Ask the server to finish what it has and end (SIGTERM)."""
        if self.ended() is None:
            _send(self._descriptor, signal.SIGTERM)

    def sweep(self, *, limit: float = 2.0) -> bool:
        """Kill the server and all that it started; False when something still runs after `limit`.

        A process in an uninterruptible wait ends only later: ask again.
        """
        deadline = time.monotonic() + limit
        while members := self._members():
            for pid, started in members:
                _kill(pid, started)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def close(self) -> None:
        """Stop watching; the process goes on."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _members(self) -> list[tuple[int, int]]:
        """Return the running processes of this start: by session, and by marker beyond it."""
        members = []
        for pid in _pids():
            stat = _stat(pid)
            if stat is None:
                continue
            session, started = stat
            if session == self.pid and started >= self.started:
                members.append((pid, started))
                continue
            marked = _marked(pid)
            if marked is not None and marked.marker.run == self.marker.run:
                members.append((pid, started))
        return members


def spawn(
    argv: Sequence[str], environment: Mapping[str, str], *, marker: Marker, log: Path
) -> ServerProcess:
    """Start a server in a session of its own, its output appended to `log`.

    `environment` is the whole of what it gets, but for the marker. Raises OSError when the program
    cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Append mode: the log is shortened from outside while the server holds it (see logs.py).
    writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        {**environment, **marker.environment()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), writing, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        # Python ignores SIGPIPE for itself, and an ignored signal stays ignored in a child.
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM],
    )
    # The child cannot be reaped by anyone else, so that its pid still means it here.
    stat = _stat(pid, zombies=True)
    started = stat[1] if stat else 0
    return ServerProcess(pid, started, marker, os.pidfd_open(pid))


def adopt(pid: int, started: int, marker: Marker) -> ServerProcess | None:
    """Watch a server that was started earlier; None when its pid means it no more."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    # Read after the pidfd was opened, so that both mean the same process. A zombie is adopted too:
    # it may be a child of this very process, which nobody else would reap.
    stat = _stat(pid, zombies=True)
    if stat is None or stat[1] != started:
        os.close(descriptor)
        return None
    return ServerProcess(pid, started, marker, descriptor)


def end_strays(home: Path, kept: Collection[tuple[str, str]], *, limit: float = 10.0) -> set[str]:
    """Kill every process of a home but those whose name and run are `kept`; return their names.

    Processes that still run after `limit` seconds are left: they wait for a device and get the
    signal when it answers.
    """
    names = set()
    deadline = time.monotonic() + limit
    while strays := [one for one in find(home) if (one.marker.name, one.marker.run) not in kept]:
        for stray in strays:
            names.add(stray.marker.name)
            _kill(stray.pid, stray.started)
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    return names


def _pids() -> Iterator[int]:
    for name in os.listdir(_PROC):  # noqa: PTH208 - thousands of Path objects for one number each
        if name.isdigit():
            yield int(name)


def _stat(pid: int, *, zombies: bool = False) -> tuple[int, int] | None:
    """Return (session, start ticks) of a running process, see proc_pid_stat(5)."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold anything: the fields are counted from its end.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in b"ZX" and not zombies:
        return None
    return int(fields[3]), int(fields[19])


def _marked(pid: int) -> Found | None:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or another user's
        return None
    values = dict(
        variable.split(b"=", 1) for variable in variables if variable.startswith(b"CLOCHE_")
    )
    if not {b"CLOCHE_HOME", b"CLOCHE_REPLICA", b"CLOCHE_RUN"} <= values.keys():
        return None
    stat = _stat(pid)
    if stat is None:
        return None
    home, name, run = (
        os.fsdecode(values[key]) for key in (b"CLOCHE_HOME", b"CLOCHE_REPLICA", b"CLOCHE_RUN")
    )
    return Found(pid, stat[1], stat[0], Marker(Path(home), name, run))


def _kill(pid: int, started: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        stat = _stat(pid)
        if stat is not None and stat[1] == started:
            _send(descriptor, signal.SIGKILL)
            _until_readable(descriptor, 1.0)
            _reap(descriptor)
    finally:
        os.close(descriptor)


def _send(descriptor: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return


def _until_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reap(descriptor: int) -> str:
    try:
        result = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
    except ChildProcessError:  # adopted: whoever is its parent now has the exit status
        return "ended"
    if result is None:
        return "ended"
    if result.si_code == os.CLD_EXITED:
        return f"ended with exit code {result.si_status}"
    return f"was ended by signal {signal.Signals(result.si_status).name}"
