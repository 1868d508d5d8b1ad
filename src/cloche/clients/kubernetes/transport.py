"""HTTP to one API server: authorised, tried again, errors translated, no secret in any message."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import msgspec

from cloche.clients.http import failure, is_not_tls, is_untrusted
from cloche.clients.kubernetes.errors import (
    Asked,
    helps_again,
    not_kubernetes,
    refusal,
    stopped,
    unreachable,
    untrusted,
)
from cloche.clients.kubernetes.server_clock import ServerClock
from cloche.clients.kubernetes.status import Status, decoded, status_of
from cloche.clients.kubernetes.tls import tls
from cloche.clients.patience import AgainError, Attempts, Patience, Stop, retry_after
from cloche.errors import ClocheError, StaleError
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cloche.clients.kubernetes.context import Certificate, Context
    from cloche.clients.kubernetes.credentials import Credentials, Identity

PATIENCE = Patience(pauses=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0), stall=30.0)
"""An API server may start anew, which takes it some ten seconds."""
_CONNECT = 10.0
_CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=16)
"""Without a limit: each watch, log and forwarded port holds one."""
_FIRST = 2
"""More attempts at a server that is slow, or has not answered yet: it may be misspelt."""
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A silent stream whose other end is gone breaks after a minute."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, with the words for what it is about."""

    method: str
    path: str
    what: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


class Transport:
    """A connection to the API server of a context; safe for several threads."""

    def __init__(
        self,
        context: Context,
        credentials: Credentials,
        patience: Patience,
        clock: ServerClock | None = None,
    ) -> None:
        self.context, self.credentials, self.patience = context, credentials, patience
        self.clock = clock or ServerClock()
        self.stop = Stop(stopped)
        self._answered = False
        self._lock = threading.Lock()
        self._clients: list[tuple[Certificate | None, httpx.Client]] = []
        """By the certificate that is shown, the one in use last: a plugin may renew it."""
        self._streams: set[socket.socket] = set()

    # ── requests ──────────────────────────────────────────────────────────────────────────────

    def ask(
        self, request: Request, *, landed: Callable[[], dict[str, Any] | None] = lambda: None
    ) -> dict[str, Any]:
        """Return the object that answers; asks again where that helps.

        A refused write may be the echo of its own first attempt, whose answer was lost: `landed`
        then returns the object as it is if it is what was to be written, else None.
        """
        attempts = Attempts(self.patience, self.stop)
        lost = False
        while True:
            try:
                return self._ask_once(request)
            except AgainError as again:
                lost = lost or not isinstance(again.__cause__, httpx.ConnectError)
                attempts.failed(again)
            except StaleError:
                own = landed() if lost else None
                if own is None:
                    raise
                return own

    @contextmanager
    def stream(
        self, request: Request, *, silence: float | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Open an answer that comes bit by bit; `silence` are the most seconds without one.

        Raises AgainError, at the start or within the context.
        """
        timeout = httpx.Timeout(self.patience.stall, connect=_CONNECT, read=silence)
        with self.translating(request), self._open(request, timeout) as response:
            if not response.is_success:
                self._raise(response.status_code, response.headers, response.read(), request)
            with self._stoppable(response.extensions["network_stream"]):
                yield response.iter_bytes()

    def raise_status(self, status: Status, request: Request) -> NoReturn:
        """Raise the error of an answer that refuses, as AgainError where it may yet succeed."""
        error = refusal(status, self.asked(request))
        if helps_again(status):
            raise AgainError(error, pause=status.pause)
        raise error

    def asked(self, request: Request) -> Asked:
        """Return what is asked, for the words of an error."""
        return Asked(self.context.name, request.what, self.credentials.remedy)

    def close(self) -> None:
        """End what other threads do with the cluster, and close all connections."""
        self.stop.set()
        with self._lock:
            for stream in self._streams:
                with suppress(OSError):  # wakes up who reads from it; not SSLSocket's own method,
                    socket.socket.shutdown(stream, socket.SHUT_RDWR)  # which would go on in clear
            clients, self._clients = self._clients, []
        for _, client in clients:
            client.close()

    # ── one request ───────────────────────────────────────────────────────────────────────────

    def _ask_once(self, request: Request) -> dict[str, Any]:
        self.stop.check()
        timeout = httpx.Timeout(self.patience.stall, connect=_CONNECT)
        with self.translating(request), self._open(request, timeout) as response:
            body = response.read()
        if not response.is_success:
            self._raise(response.status_code, response.headers, body, request)
        answer = decoded(body)
        if not isinstance(answer, dict):
            raise not_kubernetes(self.asked(request))
        return answer

    @contextmanager
    def _open(self, request: Request, timeout: httpx.Timeout) -> Iterator[httpx.Response]:
        """Send a request; where its credentials are refused, once more with new ones."""
        identity = self.credentials.identity()
        response = self._send(request, timeout, identity)
        try:
            if response.status_code == 401 and (renewed := self.credentials.renewed(identity)):
                response.close()
                response = self._send(request, timeout, renewed)
            yield response
        finally:
            response.close()

    def _send(self, request: Request, timeout: httpx.Timeout, identity: Identity) -> httpx.Response:
        client = self._client(identity.certificate)
        headers = self.headers(identity)
        if request.body is not None:
            headers.append(("Content-Type", request.content_type))
        content = None if request.body is None else msgspec.json.encode(request.body)
        built = client.build_request(
            request.method,
            self.context.server.url + request.path,
            params=dict(request.parameters),
            headers=headers,
            content=content,
            timeout=timeout,
        )
        response = client.send(built, stream=True)
        self._answered = True
        self.clock.note(response.headers.get("Date", ""))
        return response

    def headers(self, identity: Identity) -> list[tuple[str, str]]:
        """Return the headers that say who asks, and with what."""
        headers = [("User-Agent", f"cloche/{__version__}"), *self.context.user.impersonation]
        if identity.authorization:
            headers.append(("Authorization", identity.authorization))
        return headers

    def _client(self, certificate: Certificate | None) -> httpx.Client:
        server = self.context.server
        with self._lock:
            self.stop.check()
            if not self._clients or self._clients[-1][0] != certificate:
                client = httpx.Client(
                    headers={"Accept": "application/json"},
                    verify=tls(server, certificate),
                    limits=_CONNECTIONS,
                    proxy=server.proxy or None,
                    trust_env=not server.is_loopback,
                )
                self._clients.append((certificate, client))
            return self._clients[-1][1]

    @contextmanager
    def _stoppable(self, network: Any) -> Iterator[None]:
        """Have `close` end a stream, and the system notice where its other end is gone."""
        connection: socket.socket = network.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        with self._lock:
            self.stop.check()
            self._streams.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(connection)

    # ── errors ────────────────────────────────────────────────────────────────────────────────

    def _raise(
        self, code: int, headers: Mapping[str, str], body: bytes, request: Request
    ) -> NoReturn:
        status = status_of(code, decoded(body))
        pause = retry_after(headers.get("Retry-After", ""))
        self.raise_status(status if pause is None else replace(status, pause=pause), request)

    @contextmanager
    def translating(self, request: Request) -> Iterator[None]:
        """Raise AgainError for a connection that fails within the context."""
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            self.stop.check()
            raise self.failed(error, request) from error

    def failed(self, error: Exception, request: Request) -> AgainError:
        """Return what to raise for a connection that failed: another attempt may help."""
        return AgainError(self._unreachable(error, request), most=self._most(error))

    def _most(self, error: Exception) -> int | None:
        """Return how many more attempts can help: few where a host may be misspelt."""
        if isinstance(error, httpx.InvalidURL) or is_untrusted(error) or is_not_tls(error):
            return 0
        slow = isinstance(error, httpx.TimeoutException | TimeoutError)
        missing = isinstance(error, httpx.ConnectError) and not self._answered
        return _FIRST if slow or missing else None

    def _unreachable(self, error: Exception, request: Request) -> ClocheError:
        asked, server = self.asked(request), self.context.server.url
        if is_untrusted(error):
            mismatch = "mismatch, certificate is not valid for" in str(error)
            return untrusted(server, ": it has another name" if mismatch else "", asked)
        if is_not_tls(error):
            return unreachable(server, "it does not speak TLS", asked)
        return unreachable(server, _why(error), asked)


def _why(error: Exception) -> str:
    """Return why a server was not reached, as the end of a sentence."""
    if isinstance(error, httpx.RequestError):
        return failure(error)
    if isinstance(error, httpx.InvalidURL):
        return "its address is not a URL"
    return (
        "it does not answer in time" if isinstance(error, TimeoutError) else "nothing answers there"
    )
