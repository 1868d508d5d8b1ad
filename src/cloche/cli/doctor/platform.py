"""The machine: system, Python, uv, memory."""

from __future__ import annotations

import platform as machine
import subprocess
from typing import TYPE_CHECKING

from cloche.cli.doctor.outcome import Outcome, State
from cloche.units import size_text

if TYPE_CHECKING:
    from cloche.settings import Settings

SCARCE_MEMORY = 2 * 2**30


def system(settings: Settings) -> Outcome:  # noqa: ARG001 every check has the same form
    """Raise where there is no Triton wheel for this system."""
    from cloche.servers.triton import host

    host.check()
    libc = " ".join(machine.libc_ver())
    return Outcome("platform", State.OK, f"{machine.system()} {machine.machine()}, {libc}.")


def python(settings: Settings) -> Outcome:  # noqa: ARG001
    """Say which Python runs Cloche; that it is new enough was checked at its installation."""
    return Outcome("python", State.OK, f"{machine.python_version()} runs Cloche.")


def uv(settings: Settings) -> Outcome:  # noqa: ARG001
    """Check that uv, which makes all environments, runs."""
    import uv as package

    try:
        done = subprocess.run(
            [package.find_uv_bin(), "--version"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return Outcome("uv", State.FAILED, f"uv does not run: {error}", "Install Cloche again.")
    return Outcome("uv", State.OK, done.stdout.strip() + ".")


def memory(settings: Settings) -> Outcome:  # noqa: ARG001
    """Warn where little memory is free: each replica is a process with the model in it."""
    import psutil

    free = psutil.virtual_memory().available
    what = f"{size_text(free)} available."
    if free < SCARCE_MEMORY:
        hint = "A replica takes about 200 MiB and the model; end what is not needed."
        return Outcome("memory", State.WARNING, what, hint)
    return Outcome("memory", State.OK, what)
