"""Starting a control plane in the background, and seeing it come up and end."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cloche import settings as machine
from cloche.clients.control import record as home
from cloche.errors import ClocheError, UnavailableError, from_dict
from cloche.home import HomeLayout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.settings import Settings

COMMAND = (sys.executable, "-m", "cloche.daemon")
"""Like `cloche serve`, without the command line in memory, and with errors as JSON."""
WHEN_TOLD = "--when-told"
"""Has it load all that it needs and then wait for a byte on its stdin; at its end it ends too."""

_START_SECONDS = 60.0
_END_SECONDS = 30.0
_LOG_LINES = 20
_LARGEST_LOG = 8 * 2**20
_LITTLE_ROOM = 2**20
_SECRET = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY|ACCESS_KEY", re.IGNORECASE)


class Launched:
    """A control plane that has been started, and touches nothing of its home before it may."""

    def __init__(self, settings: Settings) -> None:
        """Start a process in a session of its own; its output goes to logs/control.log.

        It loads what it needs and waits for `go`. Its caller's end is its own until then.
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
        # It outlives most callers; one that lives longer must not keep it as a zombie.
        threading.Thread(target=self._process.wait, name="cloche-control", daemon=True).start()

    def go(self) -> None:
        """Let it become the control plane of its home."""
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return
        self._gone = True
        with suppress(BrokenPipeError), pipe:
            pipe.write(b"\n")

    def abandon(self) -> None:
        """End it, unless it was let go."""
        if self._gone:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self, progress: Progress) -> None:
        """Let it go, and return when the API answers.

        Of two that are started at once one gets the lock of the home and the other ends, and both
        callers go on with the first. Raises what kept it from coming up, or `control.start` with
        the end of its log.
        """
        self.go()
        deadline = time.monotonic() + _START_SECONDS
        with progress.step("Starting the control plane"):
            while home.read_record(self._home) is None:
                status = self._process.returncode
                ended = status is not None and not home.is_running(self._home)
                if ended or time.monotonic() > deadline:
                    raise _not_started(self._log, self._begin, status)
                time.sleep(0.02)


def environment(settings: Settings, variables: Mapping[str, str]) -> dict[str, str]:
    """Return what the control plane gets of the caller's environment.

    Its settings are those of the caller. Secrets are left out: it outlives the command, needs none
    of them, and hands its environment on to the servers it starts.
    """
    kept = {name: value for name, value in variables.items() if _SECRET.search(name) is None}
    return kept | machine.variables(settings)


def wait_until_gone(pid: int, seconds: float = _END_SECONDS) -> None:
    """Return when a process has ended; raises `control.ending` when it takes too long."""
    import psutil

    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        what = f"The control plane (process {pid}) has not ended after {seconds:.0f} s."
        hint = "logs/control.log in CLOCHE_HOME says what it does."
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


def _not_started(log: Path, begin: int, status: int | None) -> ClocheError:
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
    known = _error_in(said[-1]) if said and status else None
    if known is not None:
        return known
    if not said and status and shutil.disk_usage(log.parent).free < _LITTLE_ROOM:
        what = "The control plane cannot be started: the disk is full."
        hint = "Free some space, or run `cloche cache clean`, and try again."
        return ClocheError("disk.full", what, where=str(log.parent), hint=hint, retriable=True)
    how = f"ended with status {status}" if status is not None else "does not answer"
    what = "\n".join([f"The control plane {how}. The end of its log:", *said])
    hint = "Put right what the log names; `cloche serve` shows the same in the foreground."
    return ClocheError("control.start", what, where=str(log), hint=hint)


def _error_in(line: str) -> ClocheError | None:
    """Return the error that a control plane has said as the last thing it did."""
    try:
        return from_dict(json.loads(line)["error"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
