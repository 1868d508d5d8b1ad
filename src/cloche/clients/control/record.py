"""Files in `CLOCHE_HOME` by which commands find the control plane.

    control.lock   locked (flock) by the control plane of this home while it lives
    control.json   {"pid", "port", "version", "started_at"}, written when its API answers
    token          the token of the API, readable only by its owner (0600)

The lock decides: if it is free, control.json was left by a killed control plane. Another program
may have the port by now, so the token is never sent there.
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
    """Port, process and version of a control plane."""

    pid: int
    port: int
    version: str
    started_at: str
    """UTC, ISO 8601."""


def is_running(home: Path) -> bool:
    """Return whether a control plane has the lock of a home, even if it does not answer yet."""
    try:
        return files.is_locked(HomeLayout(home).control_lock)
    except OSError as error:
        raise unusable(home, error) from error


def has_services(home: Path) -> bool:
    """Return whether a home has a record of services."""
    return HomeLayout(home).state.exists()


def was_ended(home: Path) -> bool:
    """Return whether a home was ended on purpose, not by a crash.

    A control plane makes the run folder, and removes it once everything in it has ended.
    """
    return not is_running(home) and not HomeLayout(home).run.exists()


def read_record(home: Path) -> ControlRecord | None:
    """Return the record of the running control plane; None if none runs or answers yet."""
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
    # A new control plane may already have the lock while the record is a killed one's.
    return record if _is_ours(record.pid) else None


def _is_ours(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def read_token(home: Path) -> str:
    """Return the token; raises ClocheError if others could have read or written it."""
    path = HomeLayout(home).token
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor) as file:
            status = os.fstat(descriptor)
            token = file.read().strip()
    except OSError as error:
        hint = "A control plane writes it at its start: end the running one, and try again."
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
    """Return the error for a home that cannot be read or written."""
    hint = "Give yourself write permission there, or point CLOCHE_HOME to a folder of your own."
    what = f"CLOCHE_HOME cannot be used: {error.strerror}."
    return ClocheError("home.unusable", what, where=str(error.filename or home), hint=hint)
