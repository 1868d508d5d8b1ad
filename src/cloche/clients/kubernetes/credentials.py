"""Who asks a cluster: the credentials of a user, read or made anew where they end."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloche.clients.kubernetes import exec_plugin
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloche.clients.kubernetes.context import Certificate, Context
    from cloche.clients.kubernetes.exec_plugin import Credential

_FRESH = 60.0
"""Seconds for which a token file is not read again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a request shows."""

    authorization: str = field(default="", repr=False)
    """The header, or nothing."""
    certificate: Certificate | None = None


class Credentials:
    """The credentials of a context's user; safe for several threads.

    Raises ClocheError `kubernetes.exec` and `kubernetes.token_file`.
    """

    def __init__(
        self,
        context: Context,
        environment: Mapping[str, str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user, self._server, self._environment = context.user, context.server, environment
        self._now, self._monotonic = now, monotonic
        self._lock = threading.Lock()
        self._credential: Credential | None = None
        self._token, self._read_at = "", 0.0

    @property
    def remedy(self) -> str:
        """Return what the user can do about credentials that are refused."""
        user = self._user
        if user.token_file is not None:
            return f"Have {user.token_file} written anew."
        if user.plugin is not None and not (user.token or user.username):
            line = " ".join((user.plugin.command, *user.plugin.arguments))
            return f"Log in again, then see what `{line}` says."
        return "Get new credentials for this context; tokens and client certificates expire."

    def identity(self) -> Identity:
        """Return what to show now."""
        with self._lock:
            return self._identity(anew=False)

    def renewed(self, former: Identity) -> Identity | None:
        """Return what to show in place of what was refused; None if there is nothing else."""
        with self._lock:
            current = self._identity(anew=False)
            if current == former:
                current = self._identity(anew=True)
        return None if current == former else current

    def _identity(self, *, anew: bool) -> Identity:
        user = self._user
        if user.token_file is not None:
            return Identity(f"Bearer {self._from_file(user.token_file, anew)}", user.certificate)
        if user.token:
            return Identity(f"Bearer {user.token}", user.certificate)
        if user.username:
            pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
            return Identity(f"Basic {pair}", user.certificate)
        if user.plugin is None:
            return Identity("", user.certificate)
        credential = self._credential
        if credential is None or anew or _is_over(credential.expires, self._now()):
            credential = exec_plugin.run(user.plugin, self._server, self._environment)
            self._credential = credential
        header = f"Bearer {credential.token}" if credential.token else ""
        return Identity(header, credential.certificate or user.certificate)

    def _from_file(self, path: Path, anew: bool) -> str:
        if anew or not self._token or self._monotonic() - self._read_at > _FRESH:
            try:
                self._token = path.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                if not self._user.token:
                    raise _unreadable(path, error) from error
                self._token = self._user.token
            self._read_at = self._monotonic()
        return self._token


def _is_over(expires: datetime | None, now: datetime) -> bool:
    return expires is not None and expires <= now


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ClocheError:
    why = error.strerror if isinstance(error, OSError) else "it is not text"
    return ClocheError(
        "kubernetes.token_file",
        f"The file with the token of the kubeconfig cannot be read: {why}.",
        where=str(path),
        hint="Have it written anew, or correct `tokenFile`.",
    )
