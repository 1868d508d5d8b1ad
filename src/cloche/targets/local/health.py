"""Health checks of replicas over HTTP."""

from __future__ import annotations

import http.client

from cloche.targets.local import ports

_SECONDS = 2.0


class HealthCheck:
    """Health checks of one replica over one connection; for use by one thread.

    A ready replica answers 200 to all `paths`.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._connection: http.client.HTTPConnection | None = None
        self._port = 0

    def ready(self, port: int) -> bool:
        """Return whether the replica at a port is ready."""
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
        # A healthy server may close an idle connection: try once more on a new one.
        for fresh in (False, True):
            if fresh or self._connection is None:
                self.close()
                self._connection = http.client.HTTPConnection(
                    ports.LOOPBACK, self._port, timeout=_SECONDS
                )
            reused = self._connection.sock is not None
            try:
                self._connection.request("GET", path)
                response = self._connection.getresponse()
                response.read()
            except TimeoutError:
                self.close()
                return False
            except (OSError, http.client.HTTPException):
                self.close()
                if not reused:
                    return False
                continue
            return response.status == http.client.OK
        return False
