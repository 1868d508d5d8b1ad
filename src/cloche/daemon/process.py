"""The control plane as a process: its home, its lock, its address."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloche import files
from cloche.artifacts import encode
from cloche.clients.control.record import ControlRecord, read_record, unusable
from cloche.daemon.access import write_private
from cloche.errors import ClocheError
from cloche.home import HomeLayout
from cloche.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_SECONDS = 2.0
"""Longest wait for the lock: whoever only checks it holds it for less, a control plane for more."""


def prepare_home(home: Path) -> None:
    """Make the folder of a home and those for logs and processes, for their owner only (0700).

    A home that others could enter is closed to them.
    """
    layout = HomeLayout(home)
    try:
        for folder in (home, layout.logs, layout.run):
            files.private_folder(folder)
    except OSError as error:
        raise unusable(home, error) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise unusable(home, PermissionError(13, "Permission denied", str(home)))


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the lock of a home; raises `control.running` when another control plane does."""
    layout = HomeLayout(home)
    with ExitStack() as held:
        try:
            held.enter_context(
                files.locked(layout.control_lock, limit=_LOCK_SECONDS, busy=lambda: _running(home))
            )
        except OSError as error:
            raise unusable(home, error) from error
        # A control plane that was killed leaves its record.
        layout.control_record.unlink(missing_ok=True)
        yield


def _running(home: Path) -> ClocheError:
    record = read_record(home)
    who = f" (process {record.pid}, port {record.port})" if record else ""
    return ClocheError(
        "control.running",
        f"A control plane of this home is already running{who}.",
        where=str(home),
        hint="Use it, end it with `cloche down`, or choose another CLOCHE_HOME.",
    )


@contextmanager
def announce(home: Path, port: int) -> Iterator[None]:
    """Write control.json with the address of the API, and remove it after the block."""
    now, layout = datetime.now(UTC).isoformat(timespec="milliseconds"), HomeLayout(home)
    record = encode(ControlRecord(os.getpid(), port, __version__, now))
    write_private(layout.control_record, record, reserve=layout.reserve)
    try:
        yield
    finally:
        layout.control_record.unlink(missing_ok=True)


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback; port 0 takes a free one."""
    # asyncio sets TCP_NODELAY only if the protocol is given. Without it every answer waits 40 ms
    # for the client to acknowledge its head.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ClocheError(
            "control.port",
            f"The control plane cannot listen on port {port}: {error.strerror}.{_holder(port)}",
            where=f"127.0.0.1:{port}",
            hint="Set control.port (CLOCHE_CONTROL_PORT) to 0, for any free one, or to another.",
        ) from error
    listener.set_inheritable(False)
    return listener


def _holder(port: int) -> str:
    """Return a sentence with the process that has a port; empty if this user cannot see it."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" {name} (process {connection.pid}) has it."
    except psutil.Error:
        return ""
    return ""
