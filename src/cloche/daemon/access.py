"""Who may ask the control plane: whoever can read its token, from this machine.

The API answers on loopback only. A web page that a browser shows could still reach it (by a name
that is made to resolve to 127.0.0.1, or by a simple cross-site request); so a request must name a
loopback host, and carry the token in a header that no page can set without leave, which is never
given: there is no CORS.
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
    """Who may ask, and who that is."""

    token: str
    principal: str
    """`user@host` of the token's owner, for the record: whoever has the token acts for them."""


def ensure_access(home: Path) -> Access:
    """Return the token of a home and its principal, made where they are missing.

    A token that others could read, or that is not ours, is replaced, and its principal with it.
    Only the control plane calls this, and only while it holds the lock of its home.
    """
    layout = HomeLayout(home)
    token, principal = _own(layout.token), _own(layout.principal)
    if token is None or not token.isascii() or len(token) != 2 * _TOKEN_BYTES:
        token, principal = secrets.token_hex(_TOKEN_BYTES), None
        write_private(layout.token, token.encode())
    if not principal:
        principal = f"{_user()}@{socket.gethostname()}"
        write_private(layout.principal, principal.encode())
    return Access(token, principal)


def _own(path: Path) -> str | None:
    """Return what a file holds that is ours alone; None where there is no such file."""
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
    """Return the name of the account that this process runs as, whatever its environment says."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # no entry for this uid, as in many containers
        return str(os.geteuid())


def write_private(path: Path, data: bytes) -> None:
    """Replace a file atomically; only its owner can read it."""
    try:
        files.write_atomically(path, data, private=True)
    except OSError as error:
        raise unusable(path.parent, error) from error


class Guard:
    """ASGI middleware that lets only requests with the token and a loopback host through.

    They go on with `principal` in their scope: who asks is known from the token alone, never from
    what a request says of itself.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._expected = f"Bearer {access.token}".encode()
        self._principal = access.principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 401, or hand the request on."""
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
