"""What a control plane leaves in `CLOCHE_HOME` for others to find it.

    control.lock   locked (flock) by the one control plane of this home for as long as it lives
    control.json   {"pid", "port", "version", "started_at"}, written when its API answers
    token          what the API wants to be shown; for its owner alone (0600)

The lock decides: if it is free, control.json was left by a control plane that was killed. Its port
may be anyone's by now, so the token is never sent there.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import files
from cloche.errors import ClocheError
from cloche.home import HomeLayout

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """Where a control plane answers, and who it is."""

    pid: int
    port: int
    version: str
    started_at: str
    """UTC, ISO 8601."""


def is_running(home: Path) -> bool:
    """Return whether a control plane has the lock of a home; it may not answer yet."""
    try:
        descriptor = os.open(HomeLayout(home).control_lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unusable(home, error) from error
    try:
        # Shared, so that those who only look do not see each other as a control plane.
        return not files.try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def has_services(home: Path) -> bool:
    """Return whether a home has a record of services."""
    return HomeLayout(home).state.exists()


def was_ended(home: Path) -> bool:
    """Return whether nothing runs in a home because it was told so, and not by a crash.

    The folder of what runs is made by a control plane, and removed once all of it has ended.
    """
    return not is_running(home) and not HomeLayout(home).run.exists()


def read_record(home: Path) -> ControlRecord | None:
    """Return the record of the control plane that runs; None when none runs or answers yet."""
    import msgspec

    from cloche import artifacts

    if not is_running(home):
        return None
    try:
        record = artifacts.decode(ControlRecord, HomeLayout(home).control_record.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    except OSError as error:
        raise unusable(home, error) from error
    # A new one may have the lock already while the record is still that of a killed one.
    return record if _is_ours(record.pid) else None


def _is_ours(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def read_token(home: Path) -> str:
    """Return the token; raises ClocheError when others could have read it or written it."""
    path = HomeLayout(home).token
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor) as file:
            status = os.fstat(descriptor)
            token = file.read().strip()
    except OSError as error:
        hint = "A control plane writes it when it starts: end the one that runs, and try again."
        what = f"Cannot read the token of the control plane: {error.strerror}."
        raise ClocheError("control.token", what, where=str(path), hint=hint) from error
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
        raise ClocheError(
            "control.token",
            "Others can read or write the token of the control plane, so it is not used.",
            where=str(path),
            hint="End the control plane (`cloche serve`, or the process in control.json) and start"
            " it again: it writes a new token for you alone.",
        )
    return token


def unusable(home: Path, error: OSError) -> ClocheError:
    """Return the error that a home cannot be read or written."""
    hint = "Give yourself write permission there, or point CLOCHE_HOME to a folder of your own."
    what = f"CLOCHE_HOME cannot be used: {error.strerror}."
    return ClocheError("home.unusable", what, where=str(error.filename or home), hint=hint)
