"""HTTP to a server on this machine, by port or by Unix socket."""

from __future__ import annotations

import http.client
import socket

from cloche.clients.kserve.client import UNIX


class LocalConnection(http.client.HTTPConnection):
    """A connection to `127.0.0.1:18000` or `unix:/run/a.http`."""

    def __init__(self, address: str, timeout: float) -> None:
        is_socket = address.startswith(UNIX)
        super().__init__("localhost" if is_socket else address, timeout=timeout)
        self._path = address.removeprefix(UNIX) if is_socket else None

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
