"""`python -m cloche.daemon.keeper PID`: starts a control plane again that died or hangs.

It is a process of its own with no other task, and small. The control plane starts it, and starts
another one when it is gone.

A control plane that ends in order removes its record (control.json), one that dies leaves it. Every
second it touches a file, so one whose file stays as it is hangs: it is killed, then started again.
Replicas and gateway run on meanwhile, and the next control plane takes them over.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cloche import files
from cloche.clients.control.process_protocol import COMMAND, KEPT
from cloche.home import HomeLayout, default_home

if TYPE_CHECKING:
    from pathlib import Path

HANGS_AFTER = 3.0
"""Seconds without a sign of life."""
_FIRST_SIGN = 30.0
"""Seconds that a control plane may take until its first one."""
_LOOK = 0.5
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


class Keeper:
    """Keeps the control plane of one home."""

    def __init__(self, home: Path, command: tuple[str, ...]) -> None:
        self._layout = HomeLayout(home)
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None

    def keep(self, pid: int) -> None:
        """Watch a control plane, and those that follow it, until one ends in order."""
        started: int | None = pid
        while started is not None:
            self._watch(started)
            if self._ended_in_order():
                return
            started = self._started()

    def _started(self) -> int | None:
        """Start a control plane, however often that takes; None if the home was ended meanwhile.

        One that does not come up has taken the record of the one before away.
        """
        pause = _FIRST_PAUSE
        while self._layout.run.exists():
            time.sleep(pause)
            started = self._start()
            if started is not None:
                return started
            if self._child is not None and self._child.returncode == 0:
                return None  # it was told to end while it came up
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None

    def _watch(self, pid: int) -> None:
        """Return when a process has ended; kill it if it hangs."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            sign, seen_at, limit = self._sign(), time.monotonic(), _FIRST_SIGN
            while not poll.poll(_LOOK * 1000):
                now, last = time.monotonic(), self._sign()
                if last != sign:
                    sign, seen_at, limit = last, now, HANGS_AFTER
                elif now - seen_at > limit:
                    _say(f"The control plane (process {pid}) hangs, and is killed.")
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)
            if self._child is not None and self._child.pid == pid:
                self._child.wait()

    def _ended_in_order(self) -> bool:
        return not self._layout.run.exists() or not self._layout.control_record.exists()

    def _start(self) -> int | None:
        """Start a control plane, or find the one that somebody else started; None if none runs."""
        _say("The control plane ended by itself, and is started again.")
        self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        while self._child.poll() is None:
            if self._recorded() == self._child.pid:
                return self._child.pid
            time.sleep(0.05)
        other = self._recorded()
        return other if other is not None and self._is_held() else None

    def _recorded(self) -> int | None:
        """Return the pid in control.json."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return int(json.loads(self._layout.control_record.read_bytes())["pid"])
        return None

    def _is_held(self) -> bool:
        """Return whether a control plane has the lock of the home."""
        with suppress(OSError):
            return files.is_locked(self._layout.control_lock)
        return False

    def _sign(self) -> int:
        """Return when the control plane last gave a sign of life, on its clock."""
        with suppress(OSError):
            return self._layout.sign_of_life.stat().st_mtime_ns
        return 0


def main() -> int:
    """Keep the control plane whose pid is given; return at once if another process does."""
    home = default_home(os.environ)
    try:
        held = os.open(HomeLayout(home).keeper_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return 1  # the home is gone
    if files.try_lock(held):
        Keeper(home, (*COMMAND, KEPT)).keep(int(sys.argv[1]))
    return 0


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{stamp} WARNING cloche.daemon.keeper: {text}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    raise SystemExit(main())
