"""A control plane in a thread, over a target in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_control import Served

from cloche.clients.control import record as home
from cloche.clients.control.finding import connect
from cloche.daemon.main import Parts, run
from cloche.daemon.process import only_one, prepare_home
from cloche.settings import Settings
from cloche.state.sqlite import SqliteJournal, SqliteState
from cloche.testing import FixedVerifier, LivingTarget, World
from fixtures.local import until


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    settings = Settings(tmp_path / "home")
    prepare_home(settings.home)
    target, verifier, told_to_end = LivingTarget(World()), FixedVerifier(), threading.Event()

    def serve() -> None:
        with only_one(settings.home):
            file = settings.layout.state
            parts = Parts(SqliteState(file), SqliteJournal(file), target, verifier)
            run(settings, parts, told_to_end)

    thread = threading.Thread(target=serve)
    thread.start()
    until(lambda: home.read_record(settings.home) is not None)
    with connect(settings) as control:
        yield Served(control, target, verifier, settings, thread)
    told_to_end.set()
    thread.join(20)
    assert not thread.is_alive()
    assert not settings.layout.control_record.exists()
