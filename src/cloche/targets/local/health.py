"""Asking a replica over HTTP whether it serves."""

from __future__ import annotations

import http.client

from cloche.targets.local import ports

_SECONDS = 2.0


class HealthCheck:
    """Health checks of one replica, over one kept connection; for one thread.

    `paths` are what a replica that is ready answers 200 to.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._connection: http.client.HTTPConnection | None = None
        self._port = 0

    def ready(self, port: int) -> bool:
        """Return whether the replica at a port answers that it is ready."""
        if port != self._port:
            self.close()
            self._port = port
        return all(self._ask(path) for path in self._paths)

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
