"""Finding the control plane of a home, starting it, and ending it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloche.clients import systemd
from cloche.clients.control import launch as starting
from cloche.clients.control import record as home
from cloche.clients.control.client import ControlClient
from cloche.errors import ClocheError, UnavailableError
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.settings import Settings

ANSWER_SECONDS = 15.0
"""Seconds that a control plane with the lock may take to answer."""


class NotRunningError(UnavailableError):
    """No control plane runs in a home."""


def connect(settings: Settings, *, any_version: bool = False) -> ControlClient:
    """Return a client of the control plane that runs in this home.

    Raises NotRunningError, or ClocheError `control.version` if it has another version of Cloche
    and `any_version` is False.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        record = home.read_record(settings.home)
        if record is not None:
            return _client_of(settings.home, record, any_version=any_version)
        if not home.is_running(settings.home) or time.monotonic() > deadline:
            raise _not_running(settings.home)
        time.sleep(0.02)


def launch(settings: Settings) -> starting.Launched | None:
    """Start a process ahead of time if no control plane runs; return None if one does.

    The process loads its modules while the command works, and does nothing until it is given to
    `connect_or_start`; `abandon` ends it. Where systemd runs the control plane there is none, too.
    """
    here = home.is_running(settings.home) or systemd.is_installed(settings)
    return None if here else starting.Launched(settings)


@contextmanager
def launched(settings: Settings) -> Iterator[starting.Launched | None]:
    """Yield the result of `launch`; end the process if the block did not use it."""
    process = launch(settings)
    try:
        yield process
    finally:
        if process is not None:
            process.abandon()


def connect_or_start(
    settings: Settings, progress: Progress, launched: starting.Launched | None = None
) -> ControlClient:
    """Return a client of this home's control plane, starting one in the background if none runs."""
    if home.is_running(settings.home):
        return connect(settings)  # another command started one meanwhile
    if launched is None and systemd.is_installed(settings):
        with progress.task("Starting the control plane"):
            systemd.start(settings)
        return connect(settings)
    process = launched or starting.Launched(settings)
    process.wait(progress)
    return connect(settings)


def end_alone(settings: Settings) -> None:
    """End the control plane of a home, if one runs; replicas and gateway run on.

    Raises UnavailableError `control.ending` if it does not end.
    """
    record = home.read_record(settings.home)
    if record is not None:
        os.kill(record.pid, signal.SIGTERM)
        starting.wait_until_gone(record.pid)


def _client_of(folder: Path, record: home.ControlRecord, *, any_version: bool) -> ControlClient:
    if record.version != __version__ and not any_version:
        raise ClocheError(
            "control.version",
            f"The running control plane is Cloche {record.version}; this is {__version__}.",
            where=str(folder),
            hint=f"End it with `kill {record.pid}`: services go on without it, and the next command"
            f" starts Cloche {__version__}, which takes them over.",
        )
    return ControlClient(f"http://127.0.0.1:{record.port}", home.read_token(folder))


def _not_running(folder: Path) -> NotRunningError:
    hint = "`cloche deploy` starts it in the background, `cloche serve` in the foreground."
    what = "No control plane answers in this home."
    return NotRunningError("control.not_running", what, where=str(folder), hint=hint)
