import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cloche.targets.local import processes
from cloche.targets.local.processes import Marker, ServerProcess
from fixtures.local import until

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    processes.end_strays(tmp_path, kept=())
    assert processes.find(tmp_path) == []


def run(home: Path, code: str, name: str = "m-r1-0") -> ServerProcess:
    marker = Marker.new(home, name)
    argv = (sys.executable, "-c", code)
    return processes.spawn(argv, ENVIRONMENT, marker=marker, log=home / "logs" / f"{name}.log")


def zombies() -> list[int]:
    return [
        child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("pass", "ended with exit code 0"),
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by signal SIGKILL"),
    ],
)
def test_an_end_is_told_and_reaped(tmp_path: Path, code: str, how: str) -> None:
    process = run(tmp_path, code)
    until(lambda: process.ended() is not None)
    assert process.ended() == how
    assert zombies() == []
    process.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are Linux's")
def test_a_server_may_open_as_many_files_as_it_may_ask_for(tmp_path: Path) -> None:
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, given), most))
    try:
        process = run(tmp_path, "import time; time.sleep(60)")
        allowed = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (given, most))
    enough = 2**16 if most == resource.RLIM_INFINITY else min(most, 2**16)
    assert allowed == (enough, most)
    process.sweep()
    process.close()


def test_output_and_errors_go_to_the_log_and_only_what_is_given_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    code = "import os, sys; print(sorted(os.environ)); sys.stderr.write(os.environ['CLOCHE_RUN'])"
    process = run(tmp_path, code)
    until(lambda: process.ended() is not None)
    log = tmp_path / "logs" / "m-r1-0.log"
    assert process.marker.run in log.read_text()
    assert "PASSWORD" not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    process.close()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    marker = Marker.new(tmp_path, "m-r1-0")
    with pytest.raises(FileNotFoundError):
        processes.spawn(("/no/such/program",), {}, marker=marker, log=tmp_path / "a.log")


def test_ends_and_kills_reach_all_that_the_server_started(tmp_path: Path) -> None:
    """Also what left its session, and what cleared its environment but stayed in it."""
    code = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep, start_new_session=True)
subprocess.Popen(sleep, env={})
print("started")
time.sleep(600)
"""
    process = run(tmp_path, code)
    log = tmp_path / "logs" / "m-r1-0.log"
    until(lambda: log.exists() and "started" in log.read_text())
    until(lambda: len(psutil.Process(process.pid).children()) == 2)
    children = psutil.Process(process.pid).children()
    process.terminate()
    assert process.ended() is None
    assert process.sweep()
    until(lambda: process.ended() is not None)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    process.close()


def test_one_home_does_not_see_the_processes_of_another(tmp_path: Path) -> None:
    process = run(tmp_path / "one", "import time; time.sleep(600)")
    until(lambda: len(processes.find(tmp_path / "one")) == 1)
    assert processes.find(tmp_path) == []
    assert process.sweep()
    process.close()


def test_what_a_killed_owner_started_is_found_and_adopted(tmp_path: Path) -> None:
    owner = f"""
import os, sys, signal
from pathlib import Path
from cloche.targets.local import processes
for name in ("m-r1-0", "m-r1-1"):
    processes.spawn((sys.executable, "-c", "import time; time.sleep(600)"), {{}},
                    marker=processes.Marker.new(Path({str(tmp_path)!r}), name),
                    log=Path({str(tmp_path)!r}) / "a.log")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", owner], check=False).returncode == -9
    until(lambda: len(processes.find(tmp_path)) == 2)
    found = {one.marker.name: one for one in processes.find(tmp_path)}
    assert all(one.leads for one in found.values())
    kept = found["m-r1-0"]
    process = processes.adopt(kept.pid, kept.started, kept.marker)
    assert process is not None
    assert processes.adopt(kept.pid, kept.started + 1, kept.marker) is None
    ended = processes.end_strays(tmp_path, {("m-r1-0", kept.marker.run)})
    assert ended == {"m-r1-1"}
    assert process.ended() is None
    process.terminate()
    until(lambda: process.ended() is not None)
    process.close()


def test_a_recorded_pid_that_is_gone_is_not_adopted(tmp_path: Path) -> None:
    process = run(tmp_path, "pass")
    until(lambda: process.ended() is not None)
    assert processes.adopt(process.pid, process.started, process.marker) is None
    process.close()


@contextmanager
def no_more_open_files() -> Iterator[None]:
    """Every attempt to open a file in the block fails with EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_cannot_be_read_is_not_taken_for_a_process_that_ended(tmp_path: Path) -> None:
    process = run(tmp_path, "import time; time.sleep(600)")
    with no_more_open_files():
        with pytest.raises(OSError, match="Too many open files"):
            processes.adopt(process.pid, process.started, process.marker)
        with pytest.raises(OSError, match="Too many open files"):
            processes.find(tmp_path)
    adopted = processes.adopt(process.pid, process.started, process.marker)
    assert adopted is not None
    adopted.close()
    process.sweep()
    process.close()


def test_closing_leaves_the_server_running(tmp_path: Path) -> None:
    process = run(tmp_path, "import time; time.sleep(600)")
    process.close()
    time.sleep(0)
    os.kill(process.pid, 0)
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
