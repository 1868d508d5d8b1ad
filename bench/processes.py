"""Servers of a bench: each in its own session, ended with all its children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def end_with_cleaning() -> None:
    """Make SIGTERM end this process like ctrl-C, with everything that it started."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    argv: Sequence[str | Path],
    log: Path,
    *,
    ready: str | None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    limit: float = 120,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it is ready when the URL answers 200."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True, cwd=folder, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        if ready is not None:
            wait_for(ready, process, log, limit)
        yield process
    finally:
        _end(process)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, limit: float) -> None:
    """Wait until a URL answers 200; the error has the end of the log."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2).status_code == 200:
                return
        time.sleep(0.05)
    raise SystemExit(f"{url} did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, grace in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
