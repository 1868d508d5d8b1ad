"""Who has the gateway's port, and the ports that the gateway is connected to."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Collection


def check(host: str, port: int) -> None:
    """Raise `gateway.port_taken`, with the process, if something listens on the port.

    The port does not stay bound: a process may take it before Envoy starts, which then fails.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier gateway in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _explain(error, host, port) from error


def is_connected(pid: int, ports: Collection[int]) -> bool:
    """Return whether a process has a connection to one of these ports."""
    import psutil

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        # It ended, or another user's process has its pid now.
        return False
    # A closed connection that waits for its last packets has no socket of the process.
    return any(connection.raddr and connection.raddr.port in ports for connection in connections)


def _explain(error: OSError, host: str, port: int) -> ClocheError:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return ClocheError(
            "gateway.port_taken",
            f"The gateway's port {port} is taken by {_owner(port)}.",
            where=where,
            hint="End that process, or give the gateway another port with CLOCHE_GATEWAY_PORT or"
            " gateway.port in config.toml.",
            retriable=True,
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        hint = "Ports below 1024 belong to the administrator; set CLOCHE_GATEWAY_PORT to another."
    else:
        hint = "Set CLOCHE_GATEWAY_HOST to an address of this machine, such as 127.0.0.1."
    return ClocheError(
        "gateway.port_unusable",
        f"The gateway cannot listen on {where}: {error.strerror}.",
        where=where,
        hint=hint,
    )


def _owner(port: int) -> str:
    """Return the owner of a port, such as `nginx (pid 812)`, as far as this user can see it."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if not listens or not connection.laddr or connection.laddr.port != port:
                continue
            if connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "a process of another user"
