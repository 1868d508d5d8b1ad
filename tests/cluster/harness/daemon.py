"""A program in the background that may outlive the command that started it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from cloche import files
from cluster.harness import processes
from cluster.harness.errors import HarnessError

STOP_SECONDS = 20.0
_CHILDREN: dict[Path, subprocess.Popen[bytes]] = {}
"""Those that this process started, by their records: they may outlive it, which is no leak."""


class Daemon:
    """One program with its log and a record of its process in a folder.

    The record holds when the process began too: an id that the kernel gave to another process is
    not taken for ours.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._record = folder / f"{name}.pid"

    @property
    def process(self) -> psutil.Process | None:
        """The running process, or None."""
        try:
            pid, began = map(int, self._record.read_text().split())
            if processes.started(pid) != began:
                return None
            found = psutil.Process(pid)
        except (OSError, psutil.NoSuchProcess):
            return None
        return found if processes.alive(found) else None

    @property
    def running(self) -> bool:
        return self.process is not None

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start it, unless it runs, in a session of its own; the log is continued."""
        if self.running:
            return
        self._reap()
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.log.parent,
                env={"HOME": os.environ.get("HOME", "/"), **environment}, start_new_session=True,
            )  # fmt: skip
        _CHILDREN[self._record] = child
        record = f"{child.pid} {processes.started(child.pid)}"
        files.write_atomically(self._record, record.encode())

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it, by a kill after `seconds`, and wait until it is gone."""
        process = self.process
        if process is not None:
            process.terminate()
            if not processes.ended([process], seconds):
                processes.kill([process.pid])
        self._forget()

    def kill(self) -> None:
        """End it at once."""
        process = self.process
        if process is not None:
            processes.kill([process.pid])
        self._forget()

    def restart(self) -> None:
        """Kill it and start it again as it was; raises HarnessError where it does not run."""
        process = self.process
        if process is None:
            raise HarnessError(f"{self.name} does not run")
        command, environment = process.cmdline(), process.environ()
        self.kill()
        self.start(command, environment)

    def signal(self, number: int) -> None:
        """Send a signal; raises HarnessError where it does not run."""
        process = self.process
        if process is None:
            raise HarnessError(f"{self.name} does not run")
        process.send_signal(number)

    def tail(self, lines: int = 20) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _forget(self) -> None:
        self._reap()
        self._record.unlink(missing_ok=True)

    def _reap(self) -> None:
        """Take the exit code of a child, so that no zombie and no warning stays."""
        if child := _CHILDREN.pop(self._record, None):
            child.wait(STOP_SECONDS)
