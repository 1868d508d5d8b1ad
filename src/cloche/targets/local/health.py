"""Asking a replica whether it serves: the ready call of the KServe v2 protocol over HTTP.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

import http.client
from urllib.parse import quote

from cloche.targets.local import ports

_SECONDS = 2.0


class HealthCheck:
    """Health checks of one replica, over one kept connection; for one thread."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self._models = models
        self._connection: http.client.HTTPConnection | None = None
        self._port = 0

    def ready(self, port: int) -> bool:
        """Return whether every model answers that it is ready."""
        if port != self._port:
            self.close()
            self._port = port
        return all(self._ask(f"/v2/models/{quote(model, safe='')}/ready") for model in self._models)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, path: str) -> bool:
        # A server may close a connection that was idle, which says nothing of its health: then a
        # second try on a new one.
        for fresh in (False, True):
            if fresh or self._connection is None:
                self.close()
                self._connection = http.client.HTTPConnection(
                    ports.LOOPBACK, self._port, timeout=_SECONDS
                )
            kept = self._connection.sock is not None
            try:
                self._connection.request("GET", path)
                response = self._connection.getresponse()
                response.read()
            except TimeoutError:
                self.close()
                return False
            except (OSError, http.client.HTTPException):
                self.close()
                if not kept:
                    return False
                continue
            return response.status == http.client.OK
        return False
