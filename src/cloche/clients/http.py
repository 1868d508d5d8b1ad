"""Reading from one HTTP server: retries, streamed files, and the words for a broken connection.

Each protocol adds what its answers mean (`check`, `unreachable`).
"""

from __future__ import annotations

import ssl
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from cloche.clients.streams import BrokenStreamError, FileStream
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.errors import ClocheError

_CONNECT = 10.0
_TIMEOUT = httpx.Timeout(30.0, connect=_CONNECT)
_CONNECTIONS = httpx.Limits(max_connections=8, max_keepalive_connections=8)
_PAUSES = (0.3, 1.0, 2.0)
"""Seconds before each new attempt after a retriable answer."""
_TRANSIENT = frozenset({429, 502, 503, 504})
_FAILURES = (httpx.TransportError, httpx.TooManyRedirects)


class Bearer(httpx.Auth):
    """A token in the header Authorization. httpx drops it when a redirect leaves the server."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class HttpReader(ABC):
    """A connection to one server; safe for several threads."""

    def __init__(
        self,
        base: str,
        *,
        headers: Mapping[str, str] | None = None,
        authentication: httpx.Auth | None = None,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        self.base = base
        self._client = httpx.Client(
            base_url=base,
            headers={
                "User-Agent": f"cloche/{__version__}",
                "Accept-Encoding": "identity",
                **(headers or {}),
            },
            auth=authentication,
            verify=tls,
            timeout=_TIMEOUT,
            limits=_CONNECTIONS,
            follow_redirects=True,
        )

    @abstractmethod
    def check(self, response: httpx.Response) -> None:
        """Raise the error of an answer, if any; its body must have been read."""

    @abstractmethod
    def unreachable(self, error: httpx.RequestError) -> ClocheError:
        """Return the error for an unreachable or silent server."""

    def read(self, endpoint: str, parameters: Mapping[str, str]) -> httpx.Response:
        """Return the answer of an endpoint, whatever its status; asks again where that helps."""
        for pause in (*_PAUSES, None):
            try:
                response = self._client.get(endpoint, params=parameters)
            except _FAILURES as error:
                raise self.unreachable(error) from error
            if response.status_code not in _TRANSIENT or pause is None:
                return response
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt always returns or raises")

    @contextmanager
    def stream(self, endpoint: str, headers: dict[str, str], stall: float) -> Iterator[FileStream]:
        """Open a file; `stall` is the most seconds without a byte.

        Raises BrokenStreamError, at the start or within the context.
        """
        timeout = httpx.Timeout(stall, connect=_CONNECT)
        try:
            with self._client.stream("GET", endpoint, headers=headers, timeout=timeout) as response:
                yield self._file_stream(response)
        except _FAILURES as error:
            raise BrokenStreamError(
                self.unreachable(error),
                stalled=isinstance(error, httpx.ReadTimeout),
                hopeless=isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects),
            ) from error

    def _file_stream(self, response: httpx.Response) -> FileStream:
        def check() -> None:
            response.read()
            self.check(response)

        network = response.extensions["network_stream"]
        return FileStream(
            status=response.status_code,
            headers=response.headers,
            blocks=response.iter_bytes,
            check=check,
            connection=network.get_extra_info("socket"),
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def failure(error: httpx.RequestError) -> str:
    """Return why a server was not reached, as the end of a sentence."""
    if isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError):
        return str(error).rstrip(".")
    if isinstance(error, httpx.TooManyRedirects):
        return "it redirects without an end"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "nothing answers there"
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer in time"
    return f"the connection broke ({type(error).__name__})"


def is_untrusted(error: Exception) -> bool:
    """Return whether the certificate of the server is the trouble."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def is_not_tls(error: Exception) -> bool:
    """Return whether the server speaks in clear where TLS was begun."""
    return any(mark in str(error) for mark in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"))
