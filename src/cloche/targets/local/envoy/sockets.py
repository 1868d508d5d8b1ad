"""Who has the gateway's port, and the replicas that the gateway is connected to."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from cloche.clients.kserve.client import UNIX
from cloche.errors import ClocheError
from cloche.targets.local import ports, proc, socket_peers

if TYPE_CHECKING:
    from collections.abc import Collection


class PortClaim:
    """Sees to it that the processes of two homes never share a port.

    With SO_REUSEPORT the kernel lets any process of this user listen beside the first one. Whoever
    finds nobody there claims the port by a name first: that of an abstract socket (see unix(7)),
    which like a port belongs to a network namespace. The processes that listen inherit it, so that
    it is taken for as long as one of them runs.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._name = f"\0cloche/{os.getuid()}/gateway/{host}:{port}"
        self._held: socket.socket | None = None

    def take(self) -> int:
        """Return the descriptor of the claim, for a process that is to listen.

        Raises `gateway.port_taken`, with the process, if something listens on the port.
        """
        check(self._host, self._port)
        if self._held is None:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(self._name)
            except OSError as error:
                claim.close()
                owner = "the gateway of another home, which starts"
                raise _explain(error, self._host, self._port, owner) from error
            self._held = claim
        return self._held.fileno()

    def close(self) -> None:
        """Leave the claim to the processes that inherited it."""
        if self._held is not None:
            self._held.close()
            self._held = None


def check(host: str, port: int) -> None:
    """Raise `gateway.port_taken`, with the process, if something listens on the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier gateway in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _explain(error, host, port) from error


def is_connected(pid: int, addresses: Collection[str]) -> bool:
    """Return whether a process has a connection to one of these addresses."""
    paths = [each.removeprefix(UNIX) for each in addresses if each.startswith(UNIX)]
    own = ports.of(addresses)
    return (bool(own) and _has_port(pid, own)) or (bool(paths) and _has_socket(pid, paths))


def _has_port(pid: int, own: Collection[int]) -> bool:
    import psutil

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        # It ended, or another user's process has its pid now.
        return False
    # A closed connection that waits for its last packets has no socket of the process.
    return any(connection.raddr and connection.raddr.port in own for connection in connections)


def _has_socket(pid: int, paths: Collection[str]) -> bool:
    try:
        peers = socket_peers.of(paths)
        return bool(peers) and not peers.isdisjoint(proc.sockets(pid))
    except OSError:
        return True  # it cannot be told now, and draining has a limit


def _explain(error: OSError, host: str, port: int, owner: str | None = None) -> ClocheError:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return ClocheError(
            "gateway.port_taken",
            f"The gateway's port {port} is taken by {owner or _owner(port)}.",
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
