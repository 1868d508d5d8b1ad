"""`cloche serve`: the control plane as a process.

It takes the lock of its home, opens the state, takes over what runs, and answers on loopback until
it is told to end. SIGTERM and SIGINT end only the control plane: replicas and gateway run on, and
the next control plane takes them over. `POST /v1/down` ends everything.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import uvicorn

from cloche import composition
from cloche.control import Engine
from cloche.daemon import reserves, signs
from cloche.daemon.access import ensure_access
from cloche.daemon.app import create_app
from cloche.daemon.changes import Changes
from cloche.daemon.endpoints import Context
from cloche.daemon.process import announce, listen, only_one, prepare_home
from cloche.targets import Host, Target
from cloche.version import __version__

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from fastapi import FastAPI

    from cloche.control import Verifier
    from cloche.daemon.signs import KeptBy
    from cloche.settings import Settings
    from cloche.state import Journal, State

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 2
_LOOP_SECONDS = 30.0
"""A loop that does not come round for so long hangs; a busy machine only delays it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the control plane of a home."""

    state: State
    journal: Journal
    target: HostedTarget
    verifier: Verifier


class HostedTarget(Target, Host, Protocol):
    """A target whose servers this process keeps running."""


def open_parts(settings: Settings) -> Parts:
    """Return the parts of a control plane on this machine."""
    return Parts(
        composition.state(settings),
        composition.journal(settings),
        composition.target(settings),
        composition.verifier(settings),
    )


def serve(
    settings: Settings,
    parts: Callable[[Settings], Parts] = open_parts,
    keeper: KeptBy | None = None,
) -> None:
    """Run the control plane of a home until it is told to end; `keeper` starts it again.

    Raises ClocheError if it cannot start: `control.running`, `control.port`, `home.unusable`, or
    an error of the state or the target.
    """
    told_to_end = _prepare_process()
    prepare_home(settings.home)
    # Servers inherit the folder, and Python would import modules from a user's folder.
    os.chdir(settings.home)
    with only_one(settings.home):
        run(settings, parts(settings), told_to_end, keeper)


def run(
    settings: Settings,
    parts: Parts,
    told_to_end: threading.Event,
    keeper: KeptBy | None = None,
) -> None:
    """Run a control plane over its parts until it is told to end, and close them."""
    state, target = parts.state, parts.target
    changes = Changes()
    engine = Engine(
        state, parts.journal, target, parts.verifier, keep_limit=settings.cache_max_size
    )
    engine.news.listen(changes.notify)
    with ExitStack() as ending:
        ending.callback(state.close)
        ending.callback(parts.journal.close)
        listener = ending.enter_context(listen(settings.control_port))
        access = ensure_access(settings.home)
        ending.callback(target.close)
        target.start(state.services())
        ending.callback(engine.stop)
        engine.start()
        context = Context(engine, target, changes, str(settings.home), told_to_end.set, keeper)
        app = create_app(context, access=access)
        server = _Server(app, settings.home, listener, changes, told_to_end)
        ending.enter_context(reserves.kept(settings.layout, lambda: engine.ending))
        with signs.given(settings.home, keeper, lambda: server.ticks and engine.ticks):
            server.run()
        others = "ended before it" if engine.ending else "run on"
        _log.info("Ended; replicas and gateway %s.", others)


class _Server(uvicorn.Server):
    """Uvicorn on a given socket; it announces its address, and ends waiting requests at once."""

    def __init__(
        self,
        app: FastAPI,
        home: Path,
        listener: socket.socket,
        changes: Changes,
        told_to_end: threading.Event,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._home = home
        self._listener = listener
        self._changes = changes
        self._told_to_end = told_to_end
        self._announcement = ExitStack()
        self._ticked_at = time.monotonic()

    @property
    def ticks(self) -> bool:
        """Return whether its loop has come round within the time that any request may take."""
        return time.monotonic() - self._ticked_at < _LOOP_SECONDS

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer on the listener until the end."""
        with self._announcement:
            super().run([self._listener] if sockets is None else sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then announce the address."""
        await super().startup(sockets)
        port = self._listener.getsockname()[1]
        self._announcement.enter_context(announce(self._home, port))
        _log.info("Cloche %s answers on 127.0.0.1:%d (process %d).", __version__, port, os.getpid())

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; uvicorn calls this ten times a second."""
        self._ticked_at = time.monotonic()
        return await super().on_tick(counter) or self._told_to_end.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that wait for events, then end."""
        self._changes.close()
        await super().shutdown(sockets)


def _prepare_process() -> threading.Event:
    """Make new files private; return an event that SIGTERM and SIGINT set."""
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # httpx logs each request, and uvicorn what is logged here already.
    for name in ("httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    told_to_end = threading.Event()
    # Uvicorn handles both signals while it serves, then raises them again for the handlers that
    # were set before. With these handlers that raises no exception, so everything closes in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_end.set())
    return told_to_end
