"""Runs uv: one process per call, with its errors translated and without credentials in them."""

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

_CREDENTIALS = re.compile(r"(?<=://)(?!(?:\w*:)?\$\{\w+\}@|\$\{\w+\}:\$\{\w+\}@)[^/@\s]+@")
"""A name or password in a URL, except `${NAME}`, which uv reads from the environment."""
_DISK = re.compile(r"no space left|os error 28|disk quota|os error 122", re.IGNORECASE)
_NETWORK = re.compile(
    r"dns error|error sending request|failed to fetch|failed to download|timed out|tcp connect"
    r"|connection (reset|refused|closed)|request failed|network connectivity",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"\b(401|403)\b|unauthori[sz]ed|forbidden", re.IGNORECASE)
_PROJECT_VARIABLES = frozenset(
    {"VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "CONDA_PREFIX"}
)
"""Variables of the project in the user's current folder, which uv must not see."""

_TRUST_VARIABLES = frozenset({"SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS"})
_SYSTEM_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


class UvError(ClocheError):
    """uv failed; `what` has its message."""


class DiskFullError(ClocheError):
    """The disk is too full for an installation."""


def find() -> str:
    """Return the path of the uv that Cloche installs; raises `environment.uv`."""
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
    through: Sequence[str] = (),
) -> str:
    """Run uv in a folder and return its stdout; `timeout` is in seconds.

    `through` is a program that starts it, with arguments before uv's own.

    uv takes index, proxy, credentials and cache from `environment`, that of the user; certificates
    too, else those of the system.
    It inherits the file descriptors `keep_open`, so that a lock outlives a killed caller. Raises
    ClocheError: `environment.network` and `.timeout` (retriable), `.access`, `.disk`, and `.failed`
    with uv's message.
    """
    variables = _variables(environment)
    process = _start([*through, find(), *arguments], variables, folder, keep_open)
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


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables: the user's, with those of this call.

    Where the machine has a store of authorities, uv trusts it, as git and curl do: a company's own
    authority is often there alone. A user who names a store, or says not to use it, is heeded.
    """
    variables = {
        name: value for name, value in environment.items() if name not in _PROJECT_VARIABLES
    }
    variables |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    variables.setdefault("UV_HTTP_TIMEOUT", "60")
    if not variables.keys() & _TRUST_VARIABLES and any(map(os.path.isfile, _SYSTEM_STORES)):
        # The second one is its name before uv 0.11.
        variables |= {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}
    return variables


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
    """End uv and all processes that it started, also when the caller is interrupted."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def without_credentials(text: str) -> str:
    """Return text without the `user:password@` of its URLs; `${NAME}` is no password and stays."""
    return _CREDENTIALS.sub("", text)


def explain(words: str, folder: Path) -> ClocheError:
    """Return the error for uv's message."""
    lines = without_credentials(words).strip().splitlines()
    message = "\n".join(line for line in lines if not line.startswith("warning:"))[-1500:]
    if _DISK.search(message):
        return disk_full(folder)
    if _REFUSED.search(message):
        return ClocheError(
            "environment.access",
            f"The package index refused access. uv said: {message}",
            hint="Give the credentials of the index in UV_INDEX_URL, UV_INDEX_<NAME>_PASSWORD or"
            " ~/.netrc, or as ${NAME} in the address that the model's requirements have.",
        )
    if _NETWORK.search(message):
        return UnavailableError(
            "environment.network",
            f"The package index cannot be reached. uv said: {message}",
            hint="Check the network, or name a reachable index in UV_INDEX_URL or a proxy in"
            " HTTPS_PROXY.",
        )
    return UvError("environment.failed", f"uv said: {message}")


def disk_full(folder: Path) -> DiskFullError:
    """Return the error for a disk that is too full for an environment."""
    return DiskFullError(
        "environment.disk",
        "The disk is full: the model's environment does not fit.",
        where=str(folder),
        hint="Free some space (`cloche cache` shows what Cloche holds) or set CLOCHE_HOME to a"
        " folder on a larger disk.",
        retriable=True,
    )
