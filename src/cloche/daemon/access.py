"""Access to the control plane: for callers on this machine that can read its token.

The API answers on loopback only. A web page in a browser could still reach it (DNS rebinding to
127.0.0.1, or a simple cross-site request). So a request must name a loopback host and carry the
token in a header that a page can only set with permission by CORS, which is never given.
"""

from __future__ import annotations

import hmac
import os
import pwd
import secrets
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche import files
from cloche.artifacts import encode
from cloche.clients.control.record import unusable
from cloche.errors import ClocheError
from cloche.home import HomeLayout

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

_TOKEN_BYTES = 32
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(frozen=True, slots=True)
class Access:
    """The token of a home, and its owner."""

    token: str
    principal: str
    """`user@host` of the token's owner, recorded as the author of every request with the token."""


def ensure_access(home: Path) -> Access:
    """Return the token of a home and its principal; make them if they are missing.

    A token that others can read, or that another user owns, is replaced, together with its
    principal. Only the control plane calls this, while it holds the lock of its home.
    """
    layout = HomeLayout(home)
    token, principal = _private_text(layout.token), _private_text(layout.principal)
    if token is None or not token.isascii() or len(token) != 2 * _TOKEN_BYTES:
        token, principal = secrets.token_hex(_TOKEN_BYTES), None
        write_private(layout.token, token.encode())
    if not principal:
        principal = f"{_user()}@{socket.gethostname()}"
        write_private(layout.principal, principal.encode())
    return Access(token, principal)


def _private_text(path: Path) -> str | None:
    """Return the text of a file that only this user can read; None for any other file."""
    try:
        status = path.lstat()
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if ours and not stat.S_IMODE(status.st_mode) & 0o077:
            return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise unusable(path.parent, error) from error
    return None


def _user() -> str:
    """Return the account name of this process, from its uid and not from its environment."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # no entry for this uid, as in many containers
        return str(os.geteuid())


def write_private(path: Path, data: bytes, *, reserve: Path | None = None) -> None:
    """Replace a file atomically; only its owner can read it.

    `reserve` is given up for it on a full disk.
    """
    try:
        files.write_atomically(path, data, private=True, reserve=reserve)
    except OSError as error:
        raise unusable(path.parent, error) from error


class Guard:
    """ASGI middleware that passes only requests with the token and a loopback host.

    It adds `principal` to their scope: the author of a request follows from the token alone, never
    from the request itself.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._expected = f"Bearer {access.token}".encode()
        self._principal = access.principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 401, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if _without_port(host) not in _HOSTS:
            error = ClocheError(
                "control.host",
                "The control plane answers to loopback addresses only.",
                hint="Ask it at http://127.0.0.1, with the port in control.json.",
            )
            await _refuse(send, 403, error)
        elif not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            error = ClocheError(
                "control.unauthorized",
                "The request does not carry the token of this control plane.",
                hint="Send `Authorization: Bearer TOKEN` with the content of CLOCHE_HOME/token.",
            )
            await _refuse(send, 401, error)
        else:
            await self._app({**scope, "principal": self._principal}, receive, send)


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdigit() else host).lower()


async def _refuse(send: Send, status: int, error: ClocheError) -> None:
    body = encode({"error": error.to_dict(), "exit_code": error.exit_code})
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
