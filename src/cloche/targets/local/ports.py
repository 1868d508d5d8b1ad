"""Loopback ports of replicas: choosing them, and who listens on them."""

from __future__ import annotations

import random
import re
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.clients.kserve.client import UNIX
from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

LOOPBACK = "127.0.0.1"
_LOWEST = 18000
_COLLISION = re.compile(
    r"address already in use|already in use\b|port is already allocated|EADDRINUSE", re.IGNORECASE
)


class Ports:
    """The ports of the replicas of one home, so that no two replicas try the same ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: dict[str, tuple[int, ...]] = {}

    def take(self, name: str, count: int) -> tuple[int, ...]:
        """Return new ports for a replica, in place of its former ones."""
        with self._lock:
            taken = {
                port for other, ports in self._ports.items() if other != name for port in ports
            }
            chosen = choose(count, taken)
            self._ports[name] = chosen
            return chosen

    def keep(self, name: str, ports: tuple[int, ...]) -> None:
        """Record the ports of an adopted replica."""
        with self._lock:
            self._ports[name] = ports

    def release(self, name: str) -> None:
        """Forget the ports of a replica."""
        with self._lock:
            self._ports.pop(name, None)


def choose(count: int, taken: Collection[int] = ()) -> tuple[int, ...]:
    """Return free TCP ports of the loopback address, none of them in `taken`.

    They lie below the system's range for outgoing connections: a server binds its ports only after
    its models are loaded, and no outgoing connection must take them before. Raises
    UnavailableError `target.local.no_port` if there are not enough.
    """
    candidates = range(_LOWEST, _lowest_outgoing())
    if len(candidates) < 1000:
        candidates = range(_LOWEST, 65536)
    chosen: list[int] = []
    # Random, so that two homes on one machine seldom try the same ports at the same time.
    for port in random.sample(candidates, len(candidates)):
        if port not in taken and free(LOOPBACK, port):
            chosen.append(port)
            if len(chosen) == count:
                return tuple(chosen)
    raise UnavailableError(
        "target.local.no_port",
        f"No {count} free ports between {candidates[0]} and {candidates[-1]} on {LOOPBACK}.",
        hint="End some of the servers that listen there (`ss -ltn` lists them).",
    )


def free(host: str, port: int) -> bool:
    """Return whether a server can bind a port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # As servers do: closing connections of an earlier server do not keep the port.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True


def address(port: int) -> str:
    """Return the address of a port."""
    return f"{LOOPBACK}:{port}"


def of(addresses: Iterable[str]) -> tuple[int, ...]:
    """Return the ports among addresses."""
    return tuple(int(each.rpartition(":")[2]) for each in addresses if not each.startswith(UNIX))


def listens(pid: int, wanted: Collection[int]) -> bool:
    """Return whether a process itself listens on all of the ports.

    A server counts as ready only then: another server on its ports may answer its health check.
    """
    return set(wanted) <= listening(pid).keys()


def listening(pid: int) -> dict[int, int]:
    """Return the descriptors with which a process itself listens, by their ports."""
    import psutil

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return {}
    return {
        connection.laddr.port: int(connection.fd)
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }


def collided(lines: Sequence[str]) -> bool:
    """Return whether the last lines of a server's log say that its port was taken."""
    return any(_COLLISION.search(line) for line in lines)


def _lowest_outgoing() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        return int(text.split()[0])
    except (OSError, ValueError):
        return 32768
