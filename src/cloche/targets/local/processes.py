"""Server processes that outlive their parent: spawn, find, watch, end.

Each server runs in its own session with a marker in its environment: `CLOCHE_HOME`,
`CLOCHE_REPLICA` (its name) and `CLOCHE_RUN` (a token of this start). The marker identifies our
processes: it is readable in `/proc/PID/environ` as soon as the program runs. So a process is found,
and adopted or ended, even if its parent was killed before it recorded the pid.

A process is watched through a pidfd, which never refers to another process; see pidfd_open(2).
Children of this process are reaped through it, adopted servers by the system.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.targets.local import proc
from cloche.targets.local.process_group import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_INHERITED = 3
"""The number of an inherited descriptor, the first that is free."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The home, the name and the start of a server, in its environment."""

    home: Path
    name: str
    run: str

    @staticmethod
    def new(home: Path, name: str) -> Marker:
        """Return a marker for a new start."""
        return Marker(home, name, uuid.uuid4().hex)

    def environment(self) -> dict[str, str]:
        """Return the environment variables of the marker."""
        return {
            "CLOCHE_HOME": os.path.realpath(self.home),
            "CLOCHE_REPLICA": self.name,
            "CLOCHE_RUN": self.run,
        }


@dataclass(frozen=True, slots=True)
class MarkedProcess:
    """A running process with a marker."""

    pid: int
    started: int
    """Start time in clock ticks since boot; with the pid it identifies the process."""
    session: int
    marker: Marker

    @property
    def leads(self) -> bool:
        """Return whether it is the server itself, not a process that the server started."""
        return self.session == self.pid


def boot() -> str:
    """Return the kernel's ID of this boot: pids in records of another boot mean nothing."""
    return (proc.FOLDER / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find(home: Path) -> list[MarkedProcess]:
    """Return every running process with a marker of a home; raises OSError."""
    real_home = os.path.realpath(home)
    processes = filter(None, map(_read_marker, proc.pids()))
    return [process for process in processes if str(process.marker.home) == real_home]


class ServerProcess:
    """One running server, started here or adopted; `close` leaves it running."""

    def __init__(self, pid: int, started: int, marker: Marker, descriptor: int) -> None:
        self.pid = pid
        self.started = started
        self.marker = marker
        self._descriptor = descriptor
        self._ended: str | None = None
        self._models: ProcessGroup | None = None

    def filenos(self) -> tuple[int, ...]:
        """Return pidfds that become readable when the process, or one of its models', ends."""
        models = self._models.filenos() if self._models is not None else ()
        return (self._descriptor, *models)

    def ended(self) -> str | None:
        """Reap the process; return how it ended, as the end of a sentence, or None if it runs."""
        if self._ended is None and proc.until_ended(self._descriptor, 0):
            self._ended = _reap(self._descriptor)
        return self._ended

    def children(self, program: str) -> tuple[tuple[int, int], ...]:
        """Return pid and start of its children that run a program; raises OSError."""
        found = ((pid, proc.status(pid)) for pid in proc.pids())
        return tuple(
            (pid, status.started)
            for pid, status in found
            if status is not None and status.parent == self.pid and status.runs(program)
        )

    def watch_models(self, models: Iterable[tuple[int, int]]) -> None:
        """Watch the processes in which it runs its models, each by pid and start."""
        if self._models is not None:
            self._models.close()
        self._models = ProcessGroup(models)

    def ended_model(self) -> int | None:
        """Return the pid of a watched process of its models that has ended; None if all run."""
        return self._models.ended() if self._models is not None else None

    def resume_stopped(self) -> bool:
        """Continue what a signal stopped of it; return whether anything was stopped.

        A stopped process keeps its connections and answers nothing, but has lost nothing.
        """
        models = self._models.members if self._models is not None else ()
        stopped = [each for each in (*models, (self.pid, self.started)) if proc.is_stopped(*each)]
        for each in stopped:
            _signal(*each, signal.SIGCONT)
        return bool(stopped)

    def terminate(self) -> None:
        """Send SIGTERM: the server finishes its requests and ends."""
        if self.ended() is None:
            proc.send(self._descriptor, signal.SIGTERM)

    def sweep(self, *, limit: float = 2.0) -> bool:
        """Kill the server and all that it started; return False if some run after `limit` seconds.

        A process in an uninterruptible wait ends later: call again.
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
        """Stop watching; the process runs on."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._models is not None:
            self._models.close()
            self._models = None

    def _members(self) -> list[tuple[int, int]]:
        """Return pid and start of the running processes of this start, by session or marker."""
        members = []
        for pid in proc.pids():
            status = proc.status(pid)
            if status is None:
                continue
            started = status.started
            if status.session == self.pid and started >= self.started:
                members.append((pid, started))
                continue
            process = _read_marker(pid)
            if process is not None and process.marker.run == self.marker.run:
                members.append((pid, started))
        return members


def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    marker: Marker,
    log: Path,
    inherited: int | None = None,
) -> ServerProcess:
    """Start a server in its own session, with its output appended to `log`.

    Its whole environment is `environment` and the marker; it has the descriptor `inherited` open.
    Raises OSError if the program cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Append mode: the log is truncated while the server writes to it (see logs.py).
    writing = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        {**environment, **marker.environment()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), writing, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *([] if inherited is None else [(os.POSIX_SPAWN_DUP2, inherited, _INHERITED)]),
        ],
        setsid=True,
        setsigmask=[],
        # Python ignores SIGPIPE for itself, and an ignored signal stays ignored in a child.
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM],
    )
    # Nobody else can reap the child, so its pid still refers to it here.
    proc.raise_limit_of_files(pid)
    status = proc.status(pid, zombies=True)
    started = status.started if status else 0
    return ServerProcess(pid, started, marker, os.pidfd_open(pid))


def adopt(pid: int, started: int, marker: Marker) -> ServerProcess | None:
    """Return a server that was started earlier; None if its pid no longer refers to it.

    Raises OSError if that cannot be told.
    """
    # A zombie is adopted too: it may be a child of this process, which nobody else reaps.
    descriptor = proc.open_started(pid, started, zombies=True)
    return None if descriptor is None else ServerProcess(pid, started, marker, descriptor)


def end_strays(home: Path, kept: Collection[tuple[str, str]], *, limit: float = 10.0) -> set[str]:
    """Kill every process of a home whose name and run are not in `kept`; return their names.

    Processes that still run after `limit` seconds are left: they wait for a device, and the signal
    takes effect when it answers.
    """
    names = set()
    deadline = time.monotonic() + limit
    while strays := [
        process for process in find(home) if (process.marker.name, process.marker.run) not in kept
    ]:
        for stray in strays:
            names.add(stray.marker.name)
            _kill(stray.pid, stray.started)
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    return names


def _read_marker(pid: int) -> MarkedProcess | None:
    try:
        variables = (proc.FOLDER / str(pid) / "environ").read_bytes().split(b"\0")
    except proc.NOT_OURS:
        return None
    values = dict(
        variable.split(b"=", 1) for variable in variables if variable.startswith(b"CLOCHE_")
    )
    if not {b"CLOCHE_HOME", b"CLOCHE_REPLICA", b"CLOCHE_RUN"} <= values.keys():
        return None
    status = proc.status(pid)
    if status is None:
        return None
    home, name, run = (
        os.fsdecode(values[key]) for key in (b"CLOCHE_HOME", b"CLOCHE_REPLICA", b"CLOCHE_RUN")
    )
    return MarkedProcess(pid, status.started, status.session, Marker(Path(home), name, run))


def _kill(pid: int, started: int) -> None:
    descriptor = proc.open_started(pid, started)
    if descriptor is None:
        return
    try:
        proc.send(descriptor, signal.SIGKILL)
        proc.until_ended(descriptor, 1.0)
        _reap(descriptor)
    finally:
        os.close(descriptor)


def _signal(pid: int, started: int, number: signal.Signals) -> None:
    descriptor = proc.open_started(pid, started)
    if descriptor is not None:
        proc.send(descriptor, number)
        os.close(descriptor)


def _reap(descriptor: int) -> str:
    try:
        result = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
    except ChildProcessError:  # adopted: its parent gets the exit status
        return "ended"
    if result is None:
        return "ended"
    if result.si_code == os.CLD_EXITED:
        return f"ended with exit code {result.si_status}"
    return f"was ended by signal {signal.Signals(result.si_status).name}"
