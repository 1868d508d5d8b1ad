"""Short questions to one replica over HTTP."""

from __future__ import annotations

import http.client

from cloche.targets.local.local_http import LocalConnection

_SECONDS = 2.0


class ReplicaConnection:
    """One connection to a replica, for use by one thread; each question ends within 2 seconds."""

    def __init__(self) -> None:
        self._connection: LocalConnection | None = None
        self._address = ""

    def ready(self, address: str, paths: tuple[str, ...]) -> bool:
        """Return whether the replica at an address answers 200 to all of some paths."""
        return all(self.get(address, path) is not None for path in paths)

    def get(self, address: str, path: str) -> bytes | None:
        """Return the body of an answer with status 200; None for any other, and for none."""
        if address != self._address:
            self.close()
            self._address = address
        # A healthy server may close an idle connection: try once more on a new one.
        for fresh in (False, True):
            if fresh or self._connection is None:
                self.close()
                self._connection = LocalConnection(self._address, _SECONDS)
            reused = self._connection.sock is not None
            try:
                self._connection.request("GET", path)
                response = self._connection.getresponse()
                body = response.read()
            except TimeoutError:
                self.close()
                return None
            except (OSError, http.client.HTTPException):
                self.close()
                if not reused:
                    return None
                continue
            return body if response.status == http.client.OK else None
        return None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
