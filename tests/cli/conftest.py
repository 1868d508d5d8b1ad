"""A home with a real control plane in it, whose target is in memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloche import settings as machine
from cloche.cli import main
from cloche.clients.control.client import ControlClient
from cloche.clients.control.finding import connect
from cloche.clients.control.rollout_events import follow
from cloche.testing import deployment
from fixtures.commands import Outcome
from fixtures.control_plane import control_process

NUMBERS = itertools.count()


Run = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; the folder that commands run in is empty, too."""
    folder = tmp_path / "home"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("CLOCHE_HOME", str(folder))
    monkeypatch.setenv("NO_COLOR", "1")
    return folder


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line in this process."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(list(arguments))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def control_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a control plane, for the tests of one module; each has a service of its own."""
    folder = tmp_path_factory.mktemp("control")
    with control_process(folder):
        yield folder


@pytest.fixture
def control(
    home: Path, control_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ControlClient]:
    """A client of the module's control plane, which commands of this test use as well."""
    monkeypatch.setenv("CLOCHE_HOME", str(control_home))
    with connect(machine.load(os.environ)) as client:
        yield client


@pytest.fixture
def name(control: ControlClient) -> str:
    """A service that is live at revision 1 with one replica."""
    name = f"digits-{next(NUMBERS)}"
    control.deploy(deployment(name))
    list(follow(lambda: control, name, 1, timeout=20))
    return name
