"""HTTP to one registry: authorised, tried again, errors translated, no secret in any message."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import httpx

from cloche.clients.http import failure, is_not_tls, is_untrusted
from cloche.clients.oci.answers import (
    Access,
    Answer,
    Asker,
    forbidden,
    insecure,
    not_registry,
    refusal,
    unauthorized,
    unreachable,
    untrusted,
    without_tls,
)
from cloche.clients.oci.authorization import Authorization, Token, TokenRequest, token_of
from cloche.clients.oci.reference import DOCKER_HUB, is_loopback
from cloche.clients.patience import AgainError, Attempts, Stop, retry_after
from cloche.errors import ClocheError
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from cloche.clients.oci.credentials import Credentials
    from cloche.clients.oci.patience import Patience

_CONNECT = 10.0
_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=16)
_FAILURES = (httpx.TransportError, httpx.TooManyRedirects)
_HUB_ADDRESS = "registry-1.docker.io"
_FIRST = 2
"""Attempts after the first to reach a registry that has not answered yet."""
_MOST = 16 * 2**20
"""Bytes of an answer that is read whole; registries take manifests of 4 MiB and more."""


class Transport:
    """A connection to one registry; safe for several threads."""

    def __init__(
        self,
        host: str,
        *,
        environment: Mapping[str, str],
        credentials: Callable[[], Credentials | None],
        plain_http: bool | None,
        patience: Patience,
    ) -> None:
        self.host, self.patience = host, patience
        plain = is_loopback(host) if plain_http is None else plain_http
        address = _HUB_ADDRESS if host == DOCKER_HUB else host
        self._answered = False
        self.stop = Stop(_stopped)
        self.base = httpx.URL(f"{'http' if plain else 'https'}://{address}")
        self._authorization = Authorization(credentials, self._fetch_token)
        self._client = httpx.Client(
            headers={"User-Agent": f"cloche/{__version__}", "Accept-Encoding": "identity"},
            verify=_tls(environment.get("SSL_CERT_FILE")),
            timeout=httpx.Timeout(patience.stall, connect=_CONNECT),
            limits=_CONNECTIONS,
            follow_redirects=True,
            trust_env=not is_loopback(host),  # a proxy does not reach this machine's loopback
        )

    # ── requests ──────────────────────────────────────────────────────────────────────────────

    def ask(
        self,
        method: str,
        target: str,
        access: Access,
        *,
        expected: Collection[int],
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Return an answer with an expected status; asks again where that helps."""
        attempts = Attempts(self.patience, self.stop)
        while True:
            try:
                return self.ask_once(
                    method, target, access, expected=expected, headers=headers, content=content
                )
            except AgainError as again:
                attempts.failed(again)

    def ask_once(
        self,
        method: str,
        target: str,
        access: Access,
        *,
        expected: Collection[int],
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        answers_in: float | None = None,
    ) -> Answer:
        """Return an answer with an expected status.

        Raises AgainError where another attempt may help. Content that is not bytes is iterated
        once for each time that it is sent. `answers_in` are seconds, instead of patience's stall.
        """
        opened = self._open(
            method, target, access, headers=headers or {}, content=content, answers_in=answers_in
        )
        with self._translating(access), opened as response:
            answer = _read(response)
        if answer.status not in expected:
            self._raise(answer, access)
        return answer

    @contextmanager
    def stream(
        self, target: str, access: Access, *, headers: Mapping[str, str]
    ) -> Iterator[tuple[int, Mapping[str, str], Iterator[bytes]]]:
        """Open a body: its status (200 or 206), headers and blocks.

        Raises AgainError, at the start or within the context.
        """
        opened = self._open("GET", target, access, headers=headers)
        with self._translating(access), opened as response:
            if response.status_code not in {200, 206}:
                self._raise(_read(response), access)
            yield response.status_code, response.headers, response.iter_raw()

    def beside(self, answer: Answer, address: str, access: Access) -> str:
        """Return the address that an answer names, absolute or relative to its own.

        A registry behind a proxy may say http where it is https; it is never followed there.
        """
        try:
            url = httpx.URL(answer.url).join(address)
        except httpx.InvalidURL:
            raise not_registry(self.asker(access)) from None
        if not address or url.scheme not in {"http", "https"}:
            raise not_registry(self.asker(access))
        if self.base.scheme == "https" and url.scheme == "http":
            if url.host != self.base.host:
                raise insecure(self.asker(access), "sends requests to")
            url = url.copy_with(scheme="https", port=self.base.port)
        return str(url)

    def asker(self, access: Access) -> Asker:
        """Return who asks for what, for the words of an error."""
        return Asker(self.host, access, self._authorization.known)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    # ── one request ───────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _open(
        self,
        method: str,
        target: str,
        access: Access,
        *,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None = None,
        answers_in: float | None = None,
    ) -> Iterator[httpx.Response]:
        url = self.base.join(target)
        stall = self.patience.stall
        timeout = httpx.Timeout(stall, connect=_CONNECT, read=answers_in or stall)
        header = self._authorization.header(access) if self._is_own(url) else None
        for renewable in (True, False):
            request = self._client.build_request(
                method,
                url,
                headers={**headers, **({"Authorization": header} if header else {})},
                content=content,
                timeout=timeout,
            )
            response = self._client.send(request, stream=True)
            try:
                renewed = self._renewed(response, access, header) if renewable else None
                if renewed is None:
                    yield response
                    return
            finally:
                response.close()
            header = renewed

    def _renewed(self, response: httpx.Response, access: Access, header: str | None) -> str | None:
        """Return the header with which to ask once more; None if the answer stands."""
        if response.status_code != 401 or not self._is_own(response.url):
            return None
        challenges = response.headers.get_list("WWW-Authenticate")
        return self._authorization.renewed(challenges, access, header)

    def _is_own(self, url: httpx.URL) -> bool:
        """Return whether an address is the registry itself, which alone gets its tokens."""
        return (url.scheme, url.host, url.port) == (
            self.base.scheme, self.base.host, self.base.port,
        )  # fmt: skip

    def _fetch_token(self, request: TokenRequest, access: Access) -> Token:
        scheme = request.url.partition("://")[0]
        if scheme != "https" and (scheme != "http" or self.base.scheme == "https"):
            raise insecure(self.asker(access), "asks for passwords at")
        attempts = Attempts(self.patience, self.stop)
        while True:
            try:
                return self._fetch_token_once(request, access)
            except AgainError as again:
                attempts.failed(again)

    def _fetch_token_once(self, request: TokenRequest, access: Access) -> Token:
        method = "GET" if request.form is None else "POST"
        with (
            self._translating(access),
            self._client.stream(
                method, request.url, headers=request.headers, data=request.form
            ) as response,
        ):
            answer = _read(response)
        if answer.status in {400, 401, 403}:
            raise unauthorized(self.asker(access))
        if answer.status != 200:
            self._raise(answer, access)
        try:
            return token_of(answer.body, time.monotonic())
        except ValueError:
            raise not_registry(self.asker(access)) from None

    # ── errors ────────────────────────────────────────────────────────────────────────────────

    def _raise(self, answer: Answer, access: Access) -> NoReturn:
        asker = self.asker(access)
        error = refusal(answer, asker)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == 401 and asker.known and "insufficient_scope" in challenge:
            error = forbidden(asker)
        if answer.status == 429 or answer.status >= 500:
            raise AgainError(error, pause=retry_after(answer.headers.get("Retry-After", "")))
        raise error

    @contextmanager
    def _translating(self, access: Access) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            raise AgainError(self._unreachable(error, access), most=self._most(error)) from error
        self._answered = True

    def _most(self, error: httpx.RequestError) -> int | None:
        """Return how many more attempts can help: few where a host may be misspelt."""
        hopeless = isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects)
        if hopeless or is_untrusted(error) or is_not_tls(error):
            return 0
        return _FIRST if isinstance(error, httpx.ConnectError) and not self._answered else None

    def _unreachable(self, error: httpx.RequestError, access: Access) -> ClocheError:
        asker = self.asker(access)
        if is_untrusted(error):
            return untrusted(asker)
        return without_tls(asker) if is_not_tls(error) else unreachable(asker, failure(error))


def _stopped() -> ClocheError:
    return ClocheError("registry.stopped", "The work with the registry was stopped.")


def _read(response: httpx.Response) -> Answer:
    """Return an answer, with at most so many bytes of its body as are read whole."""
    body = bytearray()
    for block in response.iter_raw():
        body += block
        if len(body) > _MOST:
            break
    links = {name: str(link.get("url", "")) for name, link in response.links.items() if name}
    return Answer(response.status_code, response.headers, bytes(body), str(response.url), links)


def _tls(authorities: str | None) -> ssl.SSLContext:
    """Return whom to trust, also for a registry without TLS: its blobs may be elsewhere."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise ClocheError(
            "registry.certificate",
            f"Cannot load a certificate: {error}.",
            where=authorities,
            hint="Check SSL_CERT_FILE.",
        ) from error
