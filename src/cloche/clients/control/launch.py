"""Starting a control plane in the background, and waiting for its start and end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cloche import settings as machine
from cloche.clients.control import record as home
from cloche.clients.control.process_protocol import COMMAND, GO, WHEN_TOLD, error_in
from cloche.errors import ClocheError, UnavailableError
from cloche.home import HomeLayout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.settings import Settings

_START_SECONDS = 60.0
_END_SECONDS = 30.0
_LOG_LINES = 20
_LARGEST_LOG = 8 * 2**20
_LITTLE_ROOM = 2**20
_SECRET = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY|ACCESS_KEY", re.IGNORECASE)


class Launched:
    """A control plane's process, started ahead of time; it does nothing until `go`."""

    def __init__(self, settings: Settings) -> None:
        """Start a process in its own session; its output goes to logs/control.log.

        The process loads its modules and waits for `go`; until then it ends with its caller.
        """
        self._gone = False
        self._home = settings.home
        self._log = _open_log(settings.home)
        self._begin = self._log.stat().st_size
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*COMMAND, WHEN_TOLD],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=settings.home,
                env=environment(settings, os.environ),
                start_new_session=True,
            )
        # A caller that outlives it must not leave it as a zombie.
        threading.Thread(target=self._process.wait, name="cloche-control", daemon=True).start()

    def go(self) -> None:
        """Make the process the control plane of its home."""
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return
        self._gone = True
        with suppress(BrokenPipeError), pipe:
            pipe.write(GO)

    def abandon(self) -> None:
        """End the process unless `go` was called."""
        if self._gone:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self, progress: Progress) -> None:
        """Call `go`, and return when the API answers.

        Of two processes that start at once, one gets the lock of the home and the other ends; both
        callers use the first. Raises the error that kept it from starting, or `control.start` with
        the end of its log.
        """
        self.go()
        deadline = time.monotonic() + _START_SECONDS
        with progress.task("Starting the control plane"):
            while home.read_record(self._home) is None:
                status = self._process.returncode
                ended = status is not None and not home.is_running(self._home)
                if ended or time.monotonic() > deadline:
                    raise _start_error(self._log, self._begin, status)
                time.sleep(0.02)


def environment(settings: Settings, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the control plane: the caller's, with its settings.

    Without secrets: the control plane does not need them, outlives the command, and passes its
    environment on to the servers that it starts.
    """
    kept = {name: value for name, value in variables.items() if _SECRET.search(name) is None}
    return kept | machine.variables(settings)


def wait_until_gone(pid: int, seconds: float = _END_SECONDS) -> None:
    """Return when a process has ended; raises `control.ending` after `seconds`."""
    import psutil

    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        what = f"The control plane (process {pid}) has not ended after {seconds:.0f} s."
        hint = "logs/control.log in CLOCHE_HOME shows what it does."
        raise UnavailableError("control.ending", what, hint=hint) from None


def _open_log(folder: Path) -> Path:
    log = HomeLayout(folder).log("control")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_name("control.log.1"))
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise home.unusable(folder, error) from error
    return log


def _start_error(log: Path, begin: int, status: int | None) -> ClocheError:
    with log.open("rb") as file:
        file.seek(begin)
        log_lines = file.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
    known = error_in(log_lines[-1]) if log_lines and status else None
    if known is not None:
        return known
    if not log_lines and status and shutil.disk_usage(log.parent).free < _LITTLE_ROOM:
        what = "The control plane cannot be started: the disk is full."
        hint = "Free some space, or run `cloche cache clean`, and try again."
        return ClocheError("disk.full", what, where=str(log.parent), hint=hint, retriable=True)
    how = f"ended with status {status}" if status is not None else "does not answer"
    what = "\n".join([f"The control plane {how}. The end of its log:", *log_lines])
    hint = "Correct what the log reports; `cloche serve` shows the same in the foreground."
    return ClocheError("control.start", what, where=str(log), hint=hint)
