"""Docker's credential helpers: `docker-credential-NAME get`, a registry in, JSON out.

https://github.com/docker/docker-credential-helpers
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from cloche.clients.oci.credentials import Credentials
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 60
"""A helper may ask the user to unlock a keychain."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_IDENTITY = "<token>"
"""Stands for the user name where the secret is an identity token."""


def is_name(name: Any) -> bool:
    """Return whether a value can be a helper's name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def get(name: str, registry: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return what a helper has for a registry; None if it has nothing.

    Raises ClocheError `registry.credential_helper`, with none of the helper's words: they may be
    the secret.
    """
    program = f"docker-credential-{name}"
    path = shutil.which(program, path=environment.get("PATH", ""))
    if path is None:
        raise _failed(program, "is not on the PATH", registry)
    try:
        done = subprocess.run(
            [path, "get"],
            input=registry.encode(),
            capture_output=True,
            env=dict(environment),
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            "registry.credential_helper",
            f"{program} did not answer within {_SECONDS} seconds.",
            where=registry,
            hint=f"Run `echo {registry} | {program} get` to see what it waits for.",
        ) from None
    except OSError as error:
        raise _failed(program, f"does not start: {error.strerror}", registry) from error
    if done.returncode != 0:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise _failed(program, f"ended with status {done.returncode}", registry)
    return _parse(done.stdout, program, registry)


def _parse(printed: bytes, program: str, registry: str) -> Credentials | None:
    try:
        answer = json.loads(printed)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, LookupError, TypeError):
        raise _failed(program, "did not print what helpers print", registry) from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise _failed(program, "did not print what helpers print", registry)
    if not username and not secret:
        return None
    if username == _IDENTITY:
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def _failed(program: str, why: str, registry: str) -> ClocheError:
    return ClocheError(
        "registry.credential_helper",
        f"{program}, which Docker's config file names, {why}.",
        where=registry,
        hint=f"Run `echo {registry} | {program} get` to see why, or name another one in the file.",
    )
