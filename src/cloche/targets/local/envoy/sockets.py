"""Who has the gateway's port, and to which ports it is connected."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Collection


def check(host: str, port: int) -> None:
    """Raise `gateway.port_taken` where something listens on the port, saying what.

    Nothing stays bound; who takes the port a moment later is met when Envoy starts.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier gateway that still wait out their time do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _explained(error, host, port) from error


def connected(pid: int, ports: Collection[int]) -> bool:
    """Return whether a process has a connection to one of these ports."""
    import psutil

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        # Gone, or its number is another user's process by now.
        return False
    # A connection that only waits for its last packets has no socket of the process any more.
    return any(one.raddr and one.raddr.port in ports for one in connections)


def _explained(error: OSError, host: str, port: int) -> ClocheError:
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
    """Return `nginx (pid 812)`, as far as this user may know."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for one in psutil.net_connections(kind="tcp"):
            if one.status != psutil.CONN_LISTEN or not one.laddr or one.laddr.port != port:
                continue
            if one.pid is not None:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    return "a process of another user"
