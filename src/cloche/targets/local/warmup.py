"""The first request to a new replica: the golden request, before anybody else's.

The first run of a model allocates and plans. Only the outcome of the golden request says what a
revision is worth, so here any answer will do, a refusal too.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from cloche.targets.local import ports

if TYPE_CHECKING:
    from cloche.targets.local.supervised import Record

_HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """A request to a model, byte for byte."""

    model: str
    body: bytes
    header_length: int | None


class WarmUp:
    """Sends the first request to each process of a replica, in a thread of its own."""

    def __init__(self, request: FirstRequest, limit: float) -> None:
        """Give each process `limit` seconds to answer."""
        self._request = request
        self._limit = limit
        self._sent: tuple[int | None, threading.Thread] | None = None

    def done(self, record: Record) -> bool:
        """Return whether a replica's process has answered; send the request if it was not sent."""
        if self._sent is None or self._sent[0] != record.pid:
            name = f"warm-{record.name}"
            thread = threading.Thread(
                target=self._send, args=(record.ports[0],), name=name, daemon=True
            )
            self._sent = record.pid, thread
            thread.start()
            # Most models answer at once: the next look is then not needed.
            thread.join(0.02)
        return not self._sent[1].is_alive()

    def _send(self, port: int) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        if self._request.header_length is not None:
            headers[_HEADER_LENGTH] = str(self._request.header_length)
        path = f"/v2/models/{quote(self._request.model, safe='')}/infer"
        connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=self._limit)
        # The end of the process is seen by its supervisor, and counts as its end.
        with suppress(OSError, http.client.HTTPException):
            connection.request("POST", path, self._request.body, headers)
            connection.getresponse().read()
        connection.close()
