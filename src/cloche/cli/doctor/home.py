"""The folder of all state: that it can be written, and that there is room."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

from cloche.cli.doctor.outcome import Outcome, State
from cloche.units import size_text

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.settings import Settings

NEEDED = 2**30
COMFORTABLE = 5 * 2**30


def writable(settings: Settings) -> Outcome:
    """Write a file, and remove it again; a home that does not exist yet is not made for that."""
    folder = _existing(settings.home)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = "Change its permissions, or set CLOCHE_HOME to a folder that you can write to."
        return Outcome(
            "home", State.FAILED, f"It cannot be written: {error.strerror}.", hint, str(folder)
        )
    made = "" if settings.home.exists() else " (made by the first deploy)"
    return Outcome("home", State.OK, f"{settings.home} can be written{made}.")


def disk(settings: Settings) -> Outcome:
    """Compare the free space with what servers and environments take."""
    folder = _existing(settings.home)
    free = shutil.disk_usage(folder).free
    what = f"{size_text(free)} free."
    if free < COMFORTABLE:
        state = State.FAILED if free < NEEDED else State.WARNING
        hint = (
            "Triton and Envoy take about 1 GiB, environments of models more; free some space, "
            "`cloche cache clean`, or set CLOCHE_HOME to a larger disk."
        )
        return Outcome("disk", state, what, hint, str(folder))
    return Outcome("disk", State.OK, what)


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
