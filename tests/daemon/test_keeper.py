"""The process that starts a control plane again: over small stand-ins for the control plane.

The real one is in tests/local/test_keeping.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cloche import files
from cloche.clients.control.process_protocol import KEPT, WHEN_TOLD
from cloche.daemon import keeper, signs
from cloche.daemon.keeper import Keeper
from cloche.daemon.signs import KeptBy, kept_by
from cloche.home import HomeLayout
from fixtures.local import is_up, until

STAND_IN = """
import json, os, signal, sys, time
home = sys.argv[1]
os.makedirs(f"{home}/run", exist_ok=True)
open(f"{home}/starts", "a").write("x")
record = f"{home}/control.json"
if os.path.exists(record):
    os.unlink(record)
if os.path.exists(f"{home}/broken"):
    sys.exit(3)
def end(*_):
    os.unlink(record)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
with open(record + ".new", "w") as file:
    json.dump({"pid": os.getpid()}, file)
os.rename(record + ".new", record)
while True:
    open(f"{home}/run/alive", "a").close()
    if not os.path.exists(f"{home}/silent"):
        os.utime(f"{home}/run/alive")
    time.sleep(0.05)
"""
"""Writes its record, gives signs of life, and removes its record when it is told to end."""


class Kept:
    """A home with a stand-in, and a keeper in a thread."""

    def __init__(self, home: Path) -> None:
        self.home, self.layout = home, HomeLayout(home)
        self.command = (sys.executable, "-c", STAND_IN, str(home))
        self.first = subprocess.Popen(self.command)
        until(lambda: self.pid() == self.first.pid)
        keeping = Keeper(home, self.command)
        self.thread = threading.Thread(target=keeping.keep, args=(self.first.pid,))
        self.thread.start()

    def pid(self) -> int | None:
        return Keeper(self.home, ())._recorded()

    def starts(self) -> int:
        return len((self.home / "starts").read_text())

    def another(self, before: int | None) -> int:
        until(lambda: self.pid() not in {None, before})
        pid = self.pid()
        assert pid is not None
        return pid

    def end(self) -> None:
        """End the stand-in that runs now, in order, and with it the keeper."""
        (self.home / "broken").unlink(missing_ok=True)
        if self.thread.is_alive():
            until(lambda: (pid := self.pid()) is not None and is_up(pid))
            pid = self.pid()
            assert pid is not None
            os.kill(pid, signal.SIGTERM)
        self.first.wait(10)
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(keeper, "HANGS_AFTER", 0.5)
    monkeypatch.setattr(keeper, "_FIRST_SIGN", 2.0)
    monkeypatch.setattr(keeper, "_LOOK", 0.05)
    monkeypatch.setattr(keeper, "_LONGEST_PAUSE", 0.5)
    made = Kept(tmp_path)
    yield made
    made.end()


def test_one_that_died_is_started_again_each_time(kept: Kept) -> None:
    pid = kept.first.pid
    for _ in range(3):
        os.kill(pid, signal.SIGKILL)
        pid = kept.another(pid)
    assert kept.starts() == 4


def test_one_that_a_signal_stopped_hangs_and_is_replaced(kept: Kept) -> None:
    psutil.Process(kept.first.pid).suspend()
    kept.another(kept.first.pid)
    kept.first.wait(10)


def test_one_that_gives_no_sign_of_life_is_replaced(kept: Kept) -> None:
    until(kept.layout.sign_of_life.exists)
    (kept.home / "silent").touch()
    kept.first.wait(30)
    (kept.home / "silent").unlink()
    kept.another(kept.first.pid)


def test_one_that_ends_in_order_is_not_started_again(kept: Kept) -> None:
    kept.first.terminate()
    kept.thread.join(30)
    assert not kept.thread.is_alive()
    assert kept.starts() == 1


def test_one_that_does_not_come_up_is_tried_again(kept: Kept) -> None:
    (kept.home / "broken").touch()
    os.kill(kept.first.pid, signal.SIGKILL)
    until(lambda: kept.starts() >= 4)
    (kept.home / "broken").unlink()
    kept.another(kept.first.pid)


def test_a_home_that_is_gone_is_not_kept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    Keeper(tmp_path / "home", ("/no/such/program",)).keep(gone.pid)


def test_a_second_keeper_of_a_home_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    held = os.open(tmp_path / "run" / "keeper.lock", os.O_RDWR | os.O_CREAT)
    assert files.try_lock(held)
    monkeypatch.setenv("CLOCHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["keeper", str(os.getpid())])
    assert keeper.main() == 0
    os.close(held)


@pytest.mark.parametrize(
    ("arguments", "environment", "keeper_"),
    [
        ([], {}, None),
        ([WHEN_TOLD], {}, KeptBy.PARENT),
        ([KEPT], {}, KeptBy.PARENT),
        ([], {"NOTIFY_SOCKET": "/run/x"}, KeptBy.SYSTEMD),
        # A command that runs in another unit passes that unit's socket on.
        ([WHEN_TOLD], {"NOTIFY_SOCKET": "/run/x"}, KeptBy.PARENT),
    ],
)
def test_who_keeps_a_control_plane(
    arguments: list[str], environment: dict[str, str], keeper_: KeptBy | None
) -> None:
    assert kept_by(arguments, environment) is keeper_


def test_systemd_is_told_that_it_runs_that_it_lives_and_that_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "_EVERY", 0.01)
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        with signs.given(tmp_path, KeptBy.SYSTEMD, lambda: True):
            assert [systemd.recv(99) for _ in range(3)] == [b"READY=1", *2 * [b"WATCHDOG=1"]]
        last = b""
        while last != b"STOPPING=1":
            last = systemd.recv(99)


def test_one_that_hangs_inside_gives_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "_EVERY", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    asked = threading.Semaphore(0)

    def alive() -> bool:
        asked.release()
        return False

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        with signs.given(tmp_path, KeptBy.SYSTEMD, alive):
            for _ in range(3):
                assert asked.acquire(timeout=10)
        assert [systemd.recv(99) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]
