"""The edge to uv: one process per call, its words translated, its credentials kept out of sight."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_DISK = re.compile(r"no space left|os error 28|disk quota|os error 122", re.IGNORECASE)
_NETWORK = re.compile(
    r"dns error|error sending request|failed to fetch|failed to download|timed out|tcp connect"
    r"|connection (reset|refused|closed)|request failed|network connectivity",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"\b(401|403)\b|unauthori[sz]ed|forbidden", re.IGNORECASE)
_NOT_OURS = frozenset({"VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "CONDA_PREFIX"})
"""Variables of the project in the user's current folder, which must not matter here."""


class UvError(ClocheError):
    """uv could not do what it was asked; `what` has its own words."""


class DiskFullError(ClocheError):
    """The disk does not hold what was to be installed."""


def find() -> str:
    """Return the path of the uv that is installed with Cloche."""
    from uv import find_uv_bin

    try:
        return find_uv_bin()
    except FileNotFoundError as error:
        raise ClocheError(
            "environment.uv",
            "The program uv, which is installed with Cloche, is missing.",
            hint="Install Cloche again.",
        ) from error


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    timeout: float,
    keep_open: Sequence[int] = (),
) -> str:
    """Run uv in a folder and return what it printed.

    `environment` is the user's: index, proxy, certificates, credentials and cache come from it.
    `keep_open` are file descriptors that uv inherits, so that a lock outlives a killed caller.
    Raises ClocheError: `environment.network` and `.timeout` (retriable), `.access`, `.disk`, and
    `.failed` with uv's own words.
    """
    ours = {name: value for name, value in environment.items() if name not in _NOT_OURS}
    ours |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    ours.setdefault("UV_HTTP_TIMEOUT", "60")
    process = _start([find(), *arguments], ours, folder, keep_open)
    try:
        printed, words = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            "environment.timeout",
            f"uv did not end within {timeout / 60:.0f} minutes.",
            hint="Check the network and the package index, and run the command again.",
        ) from None
    finally:
        _end(process)
    if process.returncode != 0:
        raise explain(words.decode("utf-8", "replace"), folder)
    return printed.decode("utf-8")


def _start(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, keep_open: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            arguments,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=keep_open,
        )
    except OSError as error:
        raise ClocheError(
            "environment.uv",
            f"uv does not start: {error.strerror or error}.",
            where=str(error.filename or arguments[0]),
            hint="Install Cloche again.",
        ) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End uv and whatever it started, also when the caller is interrupted."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def without_credentials(text: str) -> str:
    """Return text with `user:password@` taken out of its URLs."""
    return _CREDENTIALS.sub("", text)


def explain(words: str, folder: Path) -> ClocheError:
    """Return the error that uv's own words amount to."""
    said = without_credentials(words).strip()
    said = "\n".join(line for line in said.splitlines() if not line.startswith("warning:"))[-1500:]
    if _DISK.search(said):
        return disk_full(folder)
    if _REFUSED.search(said):
        return ClocheError(
            "environment.access",
            f"The package index refused access. uv said: {said}",
            hint="Give the credentials of the index in UV_INDEX_URL, UV_INDEX_<NAME>_PASSWORD or"
            " ~/.netrc.",
        )
    if _NETWORK.search(said):
        return UnavailableError(
            "environment.network",
            f"The package index cannot be reached. uv said: {said}",
            hint="Check the network, or name a reachable index in UV_INDEX_URL or a proxy in"
            " HTTPS_PROXY.",
        )
    return UvError("environment.failed", f"uv said: {said}")


def disk_full(folder: Path) -> DiskFullError:
    """Return the error of a disk that cannot hold an environment."""
    return DiskFullError(
        "environment.disk",
        "The disk is full: the model's environment does not fit.",
        where=str(folder),
        hint="Free some space (`cloche cache` shows what Cloche holds) or set CLOCHE_HOME to a"
        " folder on a larger disk.",
        retriable=True,
    )
