"""Loopback ports for replicas: which to take, who has one, and who listens on it."""

from __future__ import annotations

import random
import re
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LOOPBACK = "127.0.0.1"
_LOWEST = 18000
_COLLISION = re.compile(r"address already in use|already in use\b|EADDRINUSE", re.IGNORECASE)


class Ports:
    """The ports that the replicas of one home have, so that no two of them try the same ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, ...]] = {}

    def take(self, name: str, count: int) -> tuple[int, ...]:
        """Choose ports for a replica, which gives up those that it had."""
        with self._lock:
            taken = {port for other, ports in self._kept.items() if other != name for port in ports}
            chosen = choose(count, taken)
            self._kept[name] = chosen
            return chosen

    def keep(self, name: str, ports: tuple[int, ...]) -> None:
        """Note the ports of a replica that was adopted."""
        with self._lock:
            self._kept[name] = ports

    def release(self, name: str) -> None:
        """Forget the ports of a replica."""
        with self._lock:
            self._kept.pop(name, None)


def choose(count: int, taken: Collection[int] = ()) -> tuple[int, ...]:
    """Return free TCP ports of the loopback address, none of them in `taken`.

    They lie below the range that the system gives to outgoing connections: a server binds them
    only after its models are loaded, and until then a passing connection must not get them.
    Raises UnavailableError `target.local.no_port` when none is free.
    """
    lowest_passing = _lowest_passing()
    candidates = range(_LOWEST, lowest_passing)
    if len(candidates) < 1000:
        candidates = range(_LOWEST, 65536)
    chosen: list[int] = []
    # Random, so that two homes on one machine seldom try the same ones at the same time.
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
    """Return whether a server could bind this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # As servers do it: connections of an earlier server that are still closing do not count.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True


def listens(pid: int, wanted: Collection[int]) -> bool:
    """Return whether this very process listens on all of these ports.

    Asked before a server counts as ready: with the ports of another server an answer to a health
    check proves nothing.
    """
    import psutil

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    listening = {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
    return set(wanted) <= listening


def collided(lines: Sequence[str]) -> bool:
    """Return whether a server's last words say that its port was taken."""
    return any(_COLLISION.search(line) for line in lines)


def _lowest_passing() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        return int(text.split()[0])
    except (OSError, ValueError):
        return 32768
