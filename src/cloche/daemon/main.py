"""`cloche serve`: the control plane as a process.

It takes the lock of its home, opens the state, takes over what runs, and answers on loopback until
it is asked to end. SIGTERM and SIGINT end it and nothing else: replicas and gateway run on, and the
next control plane takes them over. `POST /v1/down` ends all.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import uvicorn

from cloche import composition
from cloche.control import Engine
from cloche.daemon.access import ensure_access
from cloche.daemon.app import create_app
from cloche.daemon.changes import Changes
from cloche.daemon.endpoints import Context
from cloche.daemon.process import announced, listen, only_one, prepare_home
from cloche.targets import Host, Target
from cloche.version import __version__

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from fastapi import FastAPI

    from cloche.control import Verifier
    from cloche.settings import Settings
    from cloche.state import Journal, State

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """What the control plane of a home is made of."""

    state: State
    journal: Journal
    target: HostedTarget
    verifier: Verifier


class HostedTarget(Target, Host, Protocol):
    """A target whose servers are kept by this process."""


def open_parts(settings: Settings) -> Parts:
    """Return the parts of this machine."""
    return Parts(
        composition.state(settings),
        composition.journal(settings),
        composition.target(settings),
        composition.verifier(settings),
    )


def serve(settings: Settings, parts: Callable[[Settings], Parts] = open_parts) -> None:
    """Run the control plane of a home until it is told to end.

    Raises ClocheError when it cannot begin: `control.running`, `control.port`, `home.unusable`,
    or what the state and the target say.
    """
    told_to_end = _prepare_process()
    prepare_home(settings.home)
    # Servers inherit the folder, and their Python would import what happens to lie in a user's.
    os.chdir(settings.home)
    with only_one(settings.home):
        run(settings, parts(settings), told_to_end)


def run(settings: Settings, parts: Parts, told_to_end: threading.Event) -> None:
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
        context = Context(engine, target, changes, str(settings.home), told_to_end.set)
        app = create_app(context, access=access)
        _Server(app, settings.home, listener, changes, told_to_end).run()
        left = "ended before it" if engine.ending else "are as they were left"
        _log.info("Ended; replicas and gateway %s.", left)


class _Server(uvicorn.Server):
    """Uvicorn on our socket, saying where it answers and ending at once those who only wait."""

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
        self._announced = ExitStack()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until the end; `sockets` are ours alone."""
        with self._announced:
            super().run([self._listener] if sockets is None else sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and then say where."""
        await super().startup(sockets)
        port = self._listener.getsockname()[1]
        self._announced.enter_context(announced(self._home, port))
        _log.info("Cloche %s answers on 127.0.0.1:%d (process %d).", __version__, port, os.getpid())

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; asked ten times a second."""
        return await super().on_tick(counter) or self._told_to_end.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go those who wait for events, then end."""
        self._changes.close()
        await super().shutdown(sockets)


def _prepare_process() -> threading.Event:
    """Make what is written private, and let signals end us orderly; returns what they set."""
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # These would tell of each request, and of what is told here already.
    for name in ("httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    told_to_end = threading.Event()
    # Uvicorn takes both over while it serves, and raises again what it got for whoever had them
    # before: with these in place that is no exception, and everything is closed in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_end.set())
    return told_to_end
