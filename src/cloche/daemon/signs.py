"""The signs of life of a control plane, and who starts it again when they end.

Either systemd does, which is told through its socket (see sd_notify(3)), or a keeper, which sees a
file (see `cloche.daemon.keeper`). One that runs in a terminal has neither.
"""

from __future__ import annotations

import enum
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cloche import files
from cloche.clients.control.process_protocol import KEPT, WHEN_TOLD
from cloche.home import HomeLayout
from cloche.repeating import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_EVERY = 1.0
_MODULE = "cloche.daemon.keeper"


class KeptBy(enum.StrEnum):
    """Who starts the control plane again."""

    PARENT = "parent"
    """A process of Cloche; it does not outlive a reboot."""
    SYSTEMD = "systemd"


def kept_by(arguments: list[str], environment: dict[str, str] | os._Environ[str]) -> KeptBy | None:
    """Return who keeps this process, by its arguments and its environment."""
    if {KEPT, WHEN_TOLD} & set(arguments):
        return KeptBy.PARENT  # whatever unit the command that started it runs in
    return KeptBy.SYSTEMD if environment.get("NOTIFY_SOCKET") else None


@contextmanager
def given(home: Path, keeper: KeptBy | None, alive: Callable[[], bool]) -> Iterator[None]:
    """Give signs of life while the block lasts and `alive` says so, every second."""
    if keeper is None:
        yield
        return
    signs = _ToSystemd() if keeper is KeptBy.SYSTEMD else _ToKeeper(HomeLayout(home))

    def give() -> None:
        if alive():
            with suppress(OSError):
                signs.give()

    signs.begin()
    try:
        with repeated(give, _EVERY, name="cloche-signs"):
            yield
    finally:
        signs.end()


class _ToSystemd:
    def begin(self) -> None:
        self._send(b"READY=1")

    def give(self) -> None:
        self._send(b"WATCHDOG=1")

    def end(self) -> None:
        self._send(b"STOPPING=1")

    @staticmethod
    def _send(message: bytes) -> None:
        address = os.environ["NOTIFY_SOCKET"]
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying,
        ):
            notifying.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            notifying.send(message)


class _ToKeeper:
    """A file that is touched, and a process that looks at it: it is started when it is gone."""

    def __init__(self, layout: HomeLayout) -> None:
        self._layout = layout
        self._keeper: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        self._layout.sign_of_life.touch(mode=0o600)

    def give(self) -> None:
        os.utime(self._layout.sign_of_life)
        if self._keeper is not None:
            self._keeper.poll()  # one that has ended would stay as a zombie
        if not self._is_kept():
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait_for_its_lock()

    def end(self) -> None:
        """Leave the keeper to see that this was in order, and to end."""

    def _wait_for_its_lock(self) -> None:
        deadline = time.monotonic() + 10 * _EVERY
        while time.monotonic() < deadline and self._keeper is not None:
            if self._is_kept() or self._keeper.poll() is not None:
                return
            time.sleep(0.05)

    def _is_kept(self) -> bool:
        return files.is_locked(self._layout.keeper_lock)
