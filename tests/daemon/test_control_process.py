"""The control plane as a process: started, found, killed, refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cloche.artifacts import Standing
from cloche.clients.control import launch as starting
from cloche.clients.control import record as home
from cloche.clients.control.client import ControlClient
from cloche.clients.control.finding import connect, connect_or_start, launch
from cloche.daemon.access import ensure_access
from cloche.daemon.process import listen, only_one, prepare_home
from cloche.errors import ClocheError, UnavailableError
from cloche.home import HomeLayout
from cloche.progress import SilentProgress
from cloche.settings import Settings
from cloche.store import Store
from cloche.testing import deployment
from fixtures.local import until

SCRIPT = Path(__file__).with_name("control_process.py")
PROGRESS = SilentProgress()
LAUNCHING = """
import sys, time
from pathlib import Path
from cloche.clients.control.finding import launch
from cloche.settings import Settings
launched = launch(Settings(Path(sys.argv[1])))
print(flush=True)
time.sleep(60)
"""
"""Has a control plane ready, and never uses it."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Return settings of a home whose control plane is ended when the test is."""
    monkeypatch.setattr(starting, "COMMAND", (sys.executable, str(SCRIPT)))
    made = Settings(tmp_path / "home")
    others = children()  # servers that other tests in this process share
    yield made
    for process in children() - others:
        process.kill()
        process.wait(10)


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def refusal(call: Callable[[], object]) -> ClocheError:
    with pytest.raises(ClocheError) as caught:
        call()
    assert caught.value.hint
    return caught.value


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_private_whatever_the_umask_and_whoever_made_it(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    before = os.umask(0o000)
    try:
        folder.mkdir()  # as anybody makes a folder
        Store(folder / "store", 2**20).add_bytes(b"weights")
        assert mode(folder / "store") == 0o700
        prepare_home(folder)
    finally:
        os.umask(before)
    assert [mode(each) for each in (folder, folder / "logs", folder / "run")] == [0o700] * 3


def test_it_starts_in_the_background_and_ends_when_asked(settings: Settings) -> None:
    assert refusal(lambda: connect(settings)).code == "control.not_running"
    with connect_or_start(settings, PROGRESS) as control:
        pid = control.health()["pid"]
        assert os.getsid(pid) == pid
        for path in (settings.home, settings.home / "logs", settings.home / "run"):
            assert mode(path) == 0o700
        for file in settings.home.iterdir():
            assert file.is_dir() or mode(file) == 0o600, file
        with connect_or_start(settings, PROGRESS) as again:
            assert again.health()["pid"] == pid
        control.down()
    assert not psutil.pid_exists(pid)
    assert not home.is_running(settings.home)
    assert not settings.layout.control_record.exists()
    assert "Traceback" not in (settings.home / "logs" / "control.log").read_text()


def test_one_that_is_not_let_go_changes_nothing_and_ends(settings: Settings) -> None:
    others = children()
    launched = launch(settings)
    assert launched is not None
    launched.abandon()
    assert children() == others
    command = [sys.executable, "-c", LAUNCHING, str(settings.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        (waiting,) = psutil.Process(caller.pid).children()
        caller.kill()
    until(lambda: not waiting.is_running())
    assert sorted(path.name for path in settings.home.rglob("*")) == ["control.log", "logs"]


def test_two_that_start_one_at_once_share_it(settings: Settings) -> None:
    pids: list[int] = []

    def start() -> None:
        with connect_or_start(settings, PROGRESS) as control:
            pids.append(control.health()["pid"])

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(pids) == 3
    assert len(set(pids)) == 1


def test_kill_9_in_the_middle_of_a_deploy(settings: Settings) -> None:
    with connect_or_start(settings, PROGRESS) as control:
        pid = control.health()["pid"]
        number = control.deploy(deployment())["revision"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid))
    # What it left is not taken for a control plane: its port may be anyone's by now.
    assert settings.layout.control_record.exists()
    assert refusal(lambda: connect(settings)).code == "control.not_running"
    with connect_or_start(settings, PROGRESS) as control:
        assert control.health()["pid"] != pid
        until(lambda: control.revision("digits", number).phase is Standing.LIVE)
        assert control.deploy(deployment()) == {"change": "none", "revision": number}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_alone(settings: Settings, number: signal.Signals) -> None:
    with connect_or_start(settings, PROGRESS) as control:
        pid = control.health()["pid"]
        waiting = threading.Thread(target=_wait_for_events, args=(control,))
        waiting.start()
        os.kill(pid, number)
        until(lambda: not psutil.pid_exists(pid), 10)
        waiting.join(10)
        assert not waiting.is_alive()
    assert not settings.layout.control_record.exists()
    log = (settings.home / "logs" / "control.log").read_text()
    assert "Ended; replicas and gateway run on." in log
    assert "Traceback" not in log


def _wait_for_events(control: ControlClient) -> None:
    with suppress(UnavailableError):
        control.events("nothing", wait=50)


def test_what_keeps_it_from_coming_up_is_said(settings: Settings) -> None:
    prepare_home(settings.home)
    (settings.home / "state.db").write_bytes(b"this is no database" * 100)
    error = refusal(lambda: connect_or_start(settings, PROGRESS))
    assert error.code == "state.corrupt"
    assert error.where == str(settings.home / "state.db")


def test_one_that_crashes_shows_its_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os; print('out of luck', flush=True); os._exit(7)"
    monkeypatch.setattr(starting, "COMMAND", (sys.executable, "-c", code))
    error = refusal(lambda: connect_or_start(settings, PROGRESS))
    assert error.code == "control.start"
    assert "ended with status 7" in error.what
    assert "out of luck" in error.what


def test_another_version_is_said(settings: Settings) -> None:
    with connect_or_start(settings, PROGRESS):
        path = settings.layout.control_record
        record = json.loads(path.read_bytes())
        path.write_text(json.dumps(record | {"version": "0.0.9"}))
        error = refusal(lambda: connect_or_start(settings, PROGRESS))
        assert error.code == "control.version"
        assert "0.0.9" in error.what
        assert f"kill {record['pid']}" in (error.hint or "")
        with connect(settings, any_version=True) as control:
            control.down()


def test_only_one_has_a_home(settings: Settings) -> None:
    prepare_home(settings.home)
    with only_one(settings.home):
        assert home.is_running(settings.home)
        error = refusal(lambda: only_one(settings.home).__enter__())
        assert error.code == "control.running"
    assert not home.is_running(settings.home)
    with only_one(settings.home):
        pass


def test_a_port_that_is_taken_is_said_with_who_has_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        error = refusal(lambda: listen(port))
    assert error.code == "control.port"
    assert error.where == f"127.0.0.1:{port}"
    assert f"process {os.getpid()}" in error.what


def test_a_home_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    broken = Settings(tmp_path / "file" / "home")
    assert refusal(lambda: connect_or_start(broken, PROGRESS)).code == "home.unusable"
    assert refusal(lambda: prepare_home(broken.home)).code == "home.unusable"


def test_the_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = HomeLayout(tmp_path).token
    token = ensure_access(tmp_path).token
    assert (len(bytes.fromhex(token)), mode(path)) == (32, 0o600)
    assert ensure_access(tmp_path).token == home.read_token(tmp_path) == token
    path.chmod(0o644)
    assert refusal(lambda: home.read_token(tmp_path)).code == "control.token"
    repaired = ensure_access(tmp_path).token
    assert repaired != token
    assert (home.read_token(tmp_path), mode(path)) == (repaired, 0o600)
    path.write_bytes(b"\xff short")
    assert len(bytes.fromhex(ensure_access(tmp_path).token)) == 32
    path.unlink()
    assert refusal(lambda: home.read_token(tmp_path)).code == "control.token"
    (tmp_path / "elsewhere").write_text(token)
    path.symlink_to(tmp_path / "elsewhere")
    assert refusal(lambda: home.read_token(tmp_path)).code == "control.token"
    assert ensure_access(tmp_path).token != token
    assert not path.is_symlink()


def test_it_gets_the_settings_and_no_secrets(tmp_path: Path) -> None:
    variables = {
        "PATH": "/bin", "MLFLOW_TRACKING_PASSWORD": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "HF_TOKEN": "x", "my_api_key": "x", "CUDA_VISIBLE_DEVICES": "1", "CLOCHE_HOME": "/other",
    }  # fmt: skip
    made = Settings(tmp_path, gateway_port=1234, gateway_request_timeout=2.5)
    given = starting.environment(made, variables)
    assert "x" not in given.values()
    assert (given["PATH"], given["CUDA_VISIBLE_DEVICES"]) == ("/bin", "1")
    assert given["CLOCHE_HOME"] == str(tmp_path)
    from cloche.settings import load

    assert load(given) == made
