"""HTTP to an MLflow server: JSON in, errors translated, no credentials in any message."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpx

from cloche.clients.http import Bearer, HttpReader, failure, is_untrusted
from cloche.errors import ClocheError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from cloche.clients.mlflow.address import Address, Credentials


class ForbiddenError(ClocheError):
    """The server denies this user access."""


class Transport(HttpReader):
    """A connection to one MLflow server; safe for several threads."""

    def __init__(self, address: Address) -> None:
        self._credentials = address.credentials
        super().__init__(
            address.uri,
            headers={"X-MLFLOW-WORKSPACE": address.workspace} if address.workspace else None,
            authentication=_authentication(address.credentials),
            tls=_tls(address),
        )

    def get(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        """Return the JSON answer of an endpoint; raises ClocheError, such as NotFoundError."""
        return self._json(self.read(endpoint, parameters))

    def _json(self, response: httpx.Response) -> dict[str, Any]:
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

    def unreachable(self, error: httpx.RequestError) -> ClocheError:
        """Return the error for an unreachable or silent server."""
        if is_untrusted(error):
            return ClocheError(
                "mlflow.certificate",
                "The certificate of the MLflow server is not trusted.",
                where=self.base,
                hint="Set MLFLOW_TRACKING_SERVER_CERT_PATH to its authority's certificate.",
            )
        return UnavailableError(
            "mlflow.unreachable",
            f"Cannot reach the MLflow server: {failure(error)}.",
            where=self.base,
            hint="Check that it runs and that MLFLOW_TRACKING_URI names it.",
        )

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


def _authentication(credentials: Credentials) -> httpx.Auth | None:
    if credentials.username and credentials.password:
        return httpx.BasicAuth(credentials.username, credentials.password)
    return Bearer(credentials.token) if credentials.token else None


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
