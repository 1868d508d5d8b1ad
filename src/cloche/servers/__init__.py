"""The servers that answer requests, one package each; `server.py` is the contract."""

from cloche.servers.server import (
    InstalledServer,
    Server,
    ServerCommand,
    ServerMetrics,
    ServerPorts,
    WireProtocol,
)

__all__ = [
    "InstalledServer",
    "Server",
    "ServerCommand",
    "ServerMetrics",
    "ServerPorts",
    "WireProtocol",
]
