"""The servers that answer requests, one package each; `server.py` is the contract."""

from cloche.servers.server import (
    InstalledServer,
    Server,
    ServerAddresses,
    ServerCommand,
    ServerMetrics,
    WireProtocol,
)

__all__ = [
    "InstalledServer",
    "Server",
    "ServerAddresses",
    "ServerCommand",
    "ServerMetrics",
    "WireProtocol",
]
