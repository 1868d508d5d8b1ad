"""Making environments with real uv: whole or not there, for several processes, at any kill."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cloche import environments
from cloche.artifacts import Lock, encode
from cloche.environments import construction
from cloche.errors import ClocheError
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from pathlib import Path

MAKE = """
import sys
from pathlib import Path
from cloche import environments
from cloche.artifacts import Lock, decode
from cloche.progress import SilentProgress
lock = decode(Lock, Path(sys.argv[1]).read_bytes())
print(environments.materialize(lock, Path(sys.argv[2]), SilentProgress()))
"""


def make(lock: Lock, root: Path, environment: dict[str, str]) -> Path:
    return environments.materialize(lock, root, SilentProgress(), environment=environment)


def version_in(folder: Path) -> str:
    program = [folder / "bin" / "python", "-c", "import leaf; print(leaf.VERSION)"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()


def started(lock: Lock, tmp_path: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    (tmp_path / "lock.json").write_bytes(encode(lock))
    program = [sys.executable, "-c", MAKE, str(tmp_path / "lock.json"), str(tmp_path / "made")]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True)


def test_an_environment_is_made_once_with_what_the_lock_says(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    folder = make(lock, tmp_path / "made", environment)
    assert list(folder.glob("lib/*/site-packages/__pycache__/leaf.*.pyc"))
    assert version_in(folder) == "2.0"
    before = (folder / ".complete").stat().st_ino
    shutil.rmtree(tmp_path / "index")
    assert make(lock, tmp_path / "made", environment) == folder
    assert (folder / ".complete").stat().st_ino == before


def test_one_that_is_made_through_a_link_outlives_the_link(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    folder = make(lock, tmp_path / "link", environment)
    assert folder.parent == tmp_path / "kept"
    assert construction.is_complete(tmp_path / "link" / folder.name)
    (tmp_path / "link").unlink()
    # What a server does with an environment that a model asks for.
    program = f". {folder}/bin/activate && python -c 'import leaf, sys; print(sys.prefix)'"
    said = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(folder)


def test_an_unfinished_one_is_made_again(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    folder = make(lock, tmp_path / "made", environment)
    (folder / ".complete").unlink()
    (folder / "leftover").touch()
    assert version_in(make(lock, tmp_path / "made", environment)) == "2.0"
    assert not (folder / "leftover").exists()


def test_one_that_was_moved_is_made_again_in_its_new_place(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    before = make(lock, tmp_path / "made", environment)
    (tmp_path / "made").rename(tmp_path / "moved")
    assert not construction.is_complete(tmp_path / "moved" / before.name)
    with pytest.raises(ClocheError, match="was moved"):
        environments.existing(lock, tmp_path / "moved")
    folder = make(lock, tmp_path / "moved", environment)
    # What a server does with an environment that a model asks for.
    program = f". {folder}/bin/activate && python -c 'import leaf, sys; print(sys.prefix)'"
    said = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(folder)


def test_one_whose_python_is_gone_is_made_again(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    folder = make(lock, tmp_path / "made", environment)
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(tmp_path / "nothing")
    assert version_in(make(lock, tmp_path / "made", environment)) == "2.0"


def test_other_bytes_than_the_lock_says_are_refused_and_nothing_is_left(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    changed = Lock(lock.digest, lock.python, lock.text.replace("sha256:", "sha256:00")[:-2])
    with pytest.raises(ClocheError) as caught:
        make(changed, tmp_path / "made", environment)
    assert caught.value.code == "environment.failed"
    assert not construction.path_of(lock, tmp_path / "made").exists()


def test_two_processes_make_it_once(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    processes = [started(lock, tmp_path, environment) for _ in range(2)]
    folders = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert folders == {str(construction.path_of(lock, tmp_path / "made"))}


def test_after_a_kill_it_is_made_again(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    folder = construction.path_of(lock, tmp_path / "made")
    process = started(lock, tmp_path, environment)
    deadline = time.monotonic() + 60
    while not folder.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert version_in(make(lock, tmp_path / "made", environment)) == "2.0"


def test_waiting_for_another_process_ends(
    tmp_path: Path, lock: Lock, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(construction, "_WAIT_SECONDS", 0.1)
    folder = construction.path_of(lock, tmp_path / "made")
    folder.parent.mkdir()
    with open(f"{folder}.lock", "w") as held:  # noqa: PTH123 - the name is not under a suffix
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ClocheError) as caught:
            make(lock, tmp_path / "made", environment)
    assert caught.value.code == "environment.busy"
    assert caught.value.retriable


def test_a_python_that_cannot_be_had_is_named(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    missing = Lock(lock.digest, "3.99", lock.text)
    offline = {**environment, "UV_PYTHON_DOWNLOADS": "never"}
    with pytest.raises(ClocheError, match=r"CPython 3\.99") as caught:
        make(missing, tmp_path / "made", offline)
    assert "uv python install 3.99" in str(caught.value.hint)
