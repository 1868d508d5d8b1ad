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
from typing import TYPE_CHECKING

import uvicorn

from cloche import composition as opening
from cloche.control.engine import Control
from cloche.control.reconcile import Reconciler
from cloche.daemon.access import ensure_access
from cloche.daemon.app import create_app
from cloche.daemon.changes import Changes
from cloche.daemon.process import announced, listen, only_one, prepare_home
from cloche.targets.local.verifier import LocalVerifier
from cloche.version import __version__

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from fastapi import FastAPI

    from cloche.control.actuator import Verifier
    from cloche.settings import Settings
    from cloche.state.state import State
    from cloche.targets.target import Target

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 2


def open_parts(settings: Settings) -> tuple[State, Target, Verifier]:
    """Return what the control plane of this machine stands on."""
    return (
        opening.state(settings),
        opening.target(settings),
        LocalVerifier(settings, opening.store(settings)),
    )


def serve(
    settings: Settings,
    parts: Callable[[Settings], tuple[State, Target, Verifier]] = open_parts,
) -> None:
    """Run the control plane of a home until it is told to end.

    Raises ClocheError when it cannot begin: `control.running`, `control.port`, `home.unusable`,
    or what the state and the target say.
    """
    told_to_end = _prepare_process()
    prepare_home(settings.home)
    # Servers inherit the folder, and their Python would import what happens to lie in a user's.
    os.chdir(settings.home)
    with only_one(settings.home):
        run(settings, *parts(settings), told_to_end)


def run(
    settings: Settings,
    state: State,
    target: Target,
    verifier: Verifier,
    told_to_end: threading.Event,
) -> None:
    """Run a control plane over its parts until it is told to end, and close them."""
    changes = Changes()
    reconciler = Reconciler(state, target, verifier, changed=changes.notify)
    control = Control(state, target, verifier, reconciler, changes.notify)
    with ExitStack() as ending:
        ending.callback(state.close)
        listener = ending.enter_context(listen(settings.control_port))
        access = ensure_access(settings.home)
        ending.callback(target.close)
        target.start()
        target.subscribe(reconciler.wake)
        ending.callback(reconciler.stop)
        reconciler.start()
        home = str(settings.home)
        end = told_to_end.set
        app = create_app(control, access=access, home=home, changes=changes, end=end)
        _Server(app, settings.home, listener, changes, told_to_end).run()
        left = "ended before it" if control.ending else "are as they were left"
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
