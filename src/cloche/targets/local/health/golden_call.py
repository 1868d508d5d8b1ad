"""Sending the golden request to a replica, byte for byte, in a thread of its own."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from cloche.clients.kserve.client import HEADER_LENGTH
from cloche.targets.local.local_http import LocalConnection

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """A request to a model, byte for byte."""

    model: str
    body: bytes
    header_length: int | None


@dataclass(frozen=True, slots=True)
class GoldenAnswer:
    """What a replica answered; `header_length` is that of the binary tensor extension."""

    status: int
    body: bytes
    header_length: int | None
    seconds: float


class GoldenCall:
    """Asks one process of a replica once, in the background."""

    def __init__(
        self, ask: Callable[[], GoldenAnswer | None], name: str, *, patience: float = 0.02
    ) -> None:
        """Begin to ask; most models answer within the patience, and no later look is needed."""
        self._ask = ask
        self._answer: GoldenAnswer | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._thread.join(patience)

    @property
    def ended(self) -> bool:
        """Return whether there is an answer, or will be none."""
        return not self._thread.is_alive()

    @property
    def answer(self) -> GoldenAnswer | None:
        """Return the answer; None if there is none: the process ended, or took too long."""
        return self._answer

    def _run(self) -> None:
        self._answer = self._ask()


def send(request: GoldenRequest, address: str, limit: float) -> GoldenAnswer | None:
    """Ask the replica at an address; return None if it does not answer within `limit` seconds.

    The end of its process is seen by its supervisor, and counts as its end.
    """
    headers = {"Content-Type": "application/octet-stream"}
    if request.header_length is not None:
        headers[HEADER_LENGTH] = str(request.header_length)
    path = f"/v2/models/{quote(request.model, safe='')}/infer"
    connection = LocalConnection(address, limit)
    began = time.monotonic()
    try:
        connection.request("POST", path, request.body, headers)
        response = connection.getresponse()
        length = response.getheader(HEADER_LENGTH)
        return GoldenAnswer(
            response.status,
            response.read(),
            int(length) if length is not None and length.isdecimal() else None,
            time.monotonic() - began,
        )
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
