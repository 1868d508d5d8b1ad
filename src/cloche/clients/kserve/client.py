"""The client of the KServe v2 protocol over HTTP, for a server or the gateway.

Protocol: https://github.com/kserve/open-inference-protocol and Triton's extensions to it for model
configuration, statistics and binary tensors. Bodies are sent and returned unchanged, so that
verification judges the bytes on the wire; `cloche.clients.kserve.tensors` makes and reads them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from cloche.errors import ClocheError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import httpx

HEADER_LENGTH = "inference-header-content-length"
UNIX = "unix:"
"""What the address of a server on a Unix socket begins with."""


@dataclass(frozen=True, slots=True)
class InferenceAnswer:
    """An unchanged answer: `header_length` bytes of JSON, then binary tensors; None: all JSON."""

    body: bytes
    header_length: int | None
    headers: dict[str, str] = field(default_factory=dict)
    """By name in lower case."""


class InferenceClient:
    """A client of one base URL, such as `http://127.0.0.1:8080`; `timeout` is per call in seconds.

    `unix:PATH` is a server on a Unix socket.

    Every method raises UnavailableError `inference.unreachable` or `inference.timeout` if nothing
    answers, and ClocheError `inference.refused` with the server's message if it refuses. Keeps
    connections open: close it, or use it as a context.
    """

    def __init__(
        self, base_url: str, *, timeout: float = 60.0, headers: Mapping[str, str] | None = None
    ) -> None:
        import httpx

        # The URL in messages and logs has no credentials.
        self.base_url = re.sub(r"(?<=://)[^/@]*@", "", base_url.rstrip("/"))
        self._timeout = timeout
        # Servers and gateways are addressed directly, past any proxy, and answer uncompressed:
        # Triton takes longer to compress an answer than to send it.
        path = base_url.removeprefix(UNIX) if base_url.startswith(UNIX) else None
        self._http = httpx.Client(
            base_url=base_url.rstrip("/") if path is None else "http://localhost",
            transport=None if path is None else httpx.HTTPTransport(uds=path),
            timeout=timeout,
            headers={"accept-encoding": "identity", **(headers or {})},
            trust_env=False,
            verify=base_url.startswith("https:"),  # making a TLS context takes 0.2 s
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self, model: str | None = None, version: str | None = None) -> bool:
        """Return whether the server, or one model, is ready; False if nothing answers."""
        if model is None:
            return self._healthy("/v2/health/ready")
        return self._healthy(f"{_path(model, version)}/ready")

    def infer(
        self,
        model: str,
        body: bytes,
        header_length: int | None = None,
        *,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> InferenceAnswer:
        """Send a body, such as one made by `encode`, and return the unchanged answer."""
        sent = dict(headers or {})
        if header_length is None:
            sent.setdefault("content-type", "application/json")
        else:
            sent["content-type"] = "application/octet-stream"
            sent[HEADER_LENGTH] = str(header_length)
        path = f"{_path(model, version)}/infer"
        response = self._send("POST", path, content=body, headers=sent)
        if response.status_code != 200:
            raise self._refusal(response)
        length = response.headers.get(HEADER_LENGTH)
        return InferenceAnswer(
            response.content,
            int(length) if length is not None and length.isdecimal() else None,
            dict(response.headers),
        )

    def models(self) -> tuple[str, ...]:
        """Return the names of the models that are ready; empty if the server lists none."""
        response = self._send("POST", "/v2/repository/index", json={"ready": True})
        listed = _document(response)
        if response.status_code != 200 or not isinstance(listed, list):
            return ()
        names = (each.get("name") for each in listed if isinstance(each, dict))
        return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))

    def about(self, model: str | None = None, what: str = "") -> dict[str, Any] | None:
        """Return the metadata of the server or of a model, or its `/config`, as `what` names it.

        None if the server answers otherwise than the protocol has it.
        """
        response = self._send("GET", "/v2" if model is None else f"{_path(model, None)}{what}")
        document = _document(response)
        return document if response.status_code == 200 and isinstance(document, dict) else None

    def _healthy(self, path: str) -> bool:
        try:
            return self._send("GET", path).status_code == 200
        except UnavailableError:
            return False

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        import httpx

        where = f"{self.base_url}{path}"
        try:
            return self._http.request(method, path, **request)
        except httpx.TimeoutException:
            raise UnavailableError(
                "inference.timeout",
                f"The server did not answer within {self._timeout:g} seconds.",
                where=where,
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UsageError(
                "inference.url",
                f"{self.base_url} is not the address of a server: {error}.",
                hint="Write one like http://127.0.0.1:8000.",
            ) from None
        except httpx.HTTPError as error:
            raise UnavailableError(
                "inference.unreachable",
                f"The server cannot be reached: {error}.",
                where=where,
                hint="Check the address, and that a server runs there.",
            ) from None

    def _refusal(self, response: httpx.Response) -> ClocheError:
        status = response.status_code
        return ClocheError(
            "inference.refused",
            f"The server refused with status {status}: {_words(response)}",
            where=f"{self.base_url}{response.request.url.path}",
            retriable=status in {429, 502, 503, 504},
        )


def _path(model: str, version: str | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def _document(response: httpx.Response) -> Any:
    """Return the JSON of an answer; None if it is none."""
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _words(response: httpx.Response) -> str:
    """Return the server's message: Triton's `{"error": …}`, or a proxy's text."""
    document = _document(response)
    message = document.get("error") if isinstance(document, dict) else None
    if isinstance(message, str):
        return message
    text = response.text.strip()
    return text[:400] if text else response.reason_phrase
