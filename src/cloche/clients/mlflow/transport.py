"""HTTP to an MLflow server: JSON in, errors translated, no credentials in any message."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from cloche.clients.streams import BrokenStreamError, FileStream
from cloche.errors import ClocheError, NotFoundError, UnavailableError
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.mlflow.address import Address

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_CONNECTIONS = httpx.Limits(max_connections=8, max_keepalive_connections=8)
_PAUSES = (0.3, 1.0, 2.0)
"""Seconds before each new attempt after a retriable answer."""
_TRANSIENT = frozenset({429, 502, 503, 504})


class ForbiddenError(ClocheError):
    """The server denies this user access."""


class Transport:
    """A connection to one MLflow server; safe for several threads."""

    def __init__(self, address: Address) -> None:
        self.base = address.uri
        self._credentials = address.credentials
        headers = {"User-Agent": f"cloche/{__version__}", "Accept-Encoding": "identity"}
        if address.workspace:
            headers["X-MLFLOW-WORKSPACE"] = address.workspace
        self._client = httpx.Client(
            base_url=address.uri,
            headers=headers,
            auth=self._authentication(),
            verify=_tls(address),
            timeout=_TIMEOUT,
            limits=_CONNECTIONS,
            follow_redirects=True,
        )

    def _authentication(self) -> httpx.Auth | None:
        credentials = self._credentials
        if credentials.username and credentials.password:
            return httpx.BasicAuth(credentials.username, credentials.password)
        return _Bearer(credentials.token) if credentials.token else None

    def get(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        """Return the JSON answer of an endpoint; raises ClocheError, such as NotFoundError."""
        for pause in (*_PAUSES, None):
            try:
                response = self._client.get(endpoint, params=parameters)
            except httpx.TransportError as error:
                raise self.unreachable(error) from error
            if response.status_code not in _TRANSIENT or pause is None:
                return self._read(response)
            time.sleep(pause)
        raise AssertionError("unreachable: the last attempt always returns or raises")

    @contextmanager
    def stream(self, endpoint: str, headers: dict[str, str], stall: float) -> Iterator[FileStream]:
        """Open a file; `stall` is the most seconds without a byte.

        Raises BrokenStreamError, at the start or within the context.
        """
        timeout = httpx.Timeout(stall, connect=10.0)
        try:
            with self._client.stream("GET", endpoint, headers=headers, timeout=timeout) as response:
                yield self._file_stream(response)
        except httpx.TransportError as error:
            raise BrokenStreamError(
                self.unreachable(error),
                stalled=isinstance(error, httpx.ReadTimeout),
                hopeless=isinstance(error, httpx.UnsupportedProtocol),
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

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        self.check(response)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._not_mlflow()
        return answer

    def check(self, response: httpx.Response) -> None:
        """Raise the error of an answer, if any; its body must have been read."""
        status = response.status_code
        if status < 300:
            return
        if status == 401:
            raise self._unauthorized()
        code, message = _error_of(response)
        if status == 403:
            raise ForbiddenError(
                "mlflow.forbidden",
                "The MLflow server does not allow this user to read it.",
                where=self.base,
                hint="Ask for READ permission on the model and its experiment.",
            )
        if code in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"} or (
            code == "INVALID_PARAMETER_VALUE" and "not found" in message.lower()
        ):
            raise NotFoundError("mlflow.missing", message, where=self.base)
        if not code and status < 500:
            raise self._not_mlflow()
        error = UnavailableError if status >= 500 or status == 429 else ClocheError
        what = f"The MLflow server answered {status}" + (f": {message}" if message else ".")
        raise error("mlflow.refused", what, where=self.base, hint="See the log of the server.")

    def unreachable(self, error: httpx.TransportError) -> ClocheError:
        """Return the error for an unreachable or silent server."""
        if isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError):
            what = f"Cannot talk to the MLflow server: {error}."
        elif "CERTIFICATE_VERIFY_FAILED" in str(error):
            return ClocheError(
                "mlflow.certificate",
                "The certificate of the MLflow server is not trusted.",
                where=self.base,
                hint="Set MLFLOW_TRACKING_SERVER_CERT_PATH to its authority's certificate.",
            )
        elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            what = "Cannot reach the MLflow server: nothing answers there."
        elif isinstance(error, httpx.TimeoutException):
            what = "The MLflow server does not answer in time."
        else:
            what = f"The connection to the MLflow server broke ({type(error).__name__})."
        hint = "Check that it runs and that MLFLOW_TRACKING_URI names it."
        return UnavailableError("mlflow.unreachable", what, where=self.base, hint=hint)

    def _unauthorized(self) -> ClocheError:
        if self._credentials.given:
            what = "The MLflow server refuses the user name and password, or the token."
        else:
            what = "The MLflow server requires credentials, and none are set."
        return ClocheError(
            "mlflow.unauthorized",
            what,
            where=self.base,
            hint="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,"
            " or MLFLOW_TRACKING_TOKEN.",
        )

    def _not_mlflow(self) -> ClocheError:
        return ClocheError(
            "mlflow.not_mlflow",
            "This address is not an MLflow 3 server: the answer is not JSON of its API.",
            where=self.base,
            hint="Check MLFLOW_TRACKING_URI: it may name another server, a login page, or lack"
            " the path under which MLflow is served.",
        )


class _Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _tls(address: Address) -> ssl.SSLContext | bool:
    if not address.uri.startswith("https:"):
        return False  # nothing to verify; loading the authorities takes time
    try:
        context = ssl.create_default_context(cafile=address.server_certificate)
        if address.client_certificate:
            context.load_cert_chain(address.client_certificate)
    except OSError as error:
        raise ClocheError(
            "mlflow.certificate",
            f"Cannot load a certificate: {error}.",
            where=address.server_certificate or address.client_certificate,
            hint="Check MLFLOW_TRACKING_SERVER_CERT_PATH and MLFLOW_TRACKING_CLIENT_CERT_PATH.",
        ) from error
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _error_of(response: httpx.Response) -> tuple[str, str]:
    """Return MLflow's error code and message; both empty if the answer is not MLflow's."""
    try:
        answer = response.json()
    except ValueError:
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    return str(answer.get("error_code", "")), " ".join(str(answer.get("message", "")).split())
