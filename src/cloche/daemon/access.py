"""Who may ask the control plane: whoever can read its token, from this machine.

The API answers on loopback only. A web page that a browser shows could still reach it (by a name
that is made to resolve to 127.0.0.1, or by a simple cross-site request); so a request must name a
loopback host, and carry the token in a header that no page can set without leave, which is never
given: there is no CORS.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING

from cloche.artifacts import encode
from cloche.clients.control.record import token_path, unusable
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

_TOKEN_BYTES = 32
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def ensure_token(home: Path) -> str:
    """Return the token of a home, making one where there is none.

    One that others could read, or that is not ours, is replaced. Only the control plane calls this,
    and only while it holds the lock of its home.
    """
    path = token_path(home)
    try:
        status = path.lstat()
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if ours and not stat.S_IMODE(status.st_mode) & 0o077:
            token = path.read_text(encoding="ascii").strip()
            if len(token) == 2 * _TOKEN_BYTES:
                return token
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError):
            raise unusable(home, error) from error
    token = secrets.token_hex(_TOKEN_BYTES)
    write_private(path, token.encode())
    return token


def write_private(path: Path, data: bytes) -> None:
    """Make a file that only its owner can read hold `data`, whole or not at all."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError as error:
        raise unusable(path.parent, error) from error
    finally:
        temporary.unlink(missing_ok=True)


class Guard:
    """ASGI middleware that lets only requests with the token and a loopback host through."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

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
            await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return (name if separator and port.isdigit() else host).lower()


async def _refuse(send: Send, status: int, error: ClocheError) -> None:
    body = encode({"error": error.to_dict(), "exit_code": error.exit_code})
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
