"""A Python of this machine as files that run elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from wheels import PYTHON

from cloche.environments import interpreters, portable
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.environments.interpreters import Interpreter

PROGRAM = "import ctypes, json, lzma, sqlite3, ssl, sys, zlib; print(sys.prefix, sys.version)"


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    return interpreters.find([PYTHON], environment=dict(os.environ), folder=tmp_path)


def test_the_files_run_under_another_prefix(tmp_path: Path, interpreter: Interpreter) -> None:
    found = portable.of(interpreter)
    for name, source in found.files.items():
        target = tmp_path / "moved" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    done = subprocess.run(
        [tmp_path / "moved" / "bin" / f"python{PYTHON}", "-c", PROGRAM],
        env={"LD_LIBRARY_PATH": str(tmp_path / "moved" / "lib")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    prefix, version = done.stdout.split()[:2]
    assert (prefix, version) == (str(tmp_path / "moved"), found.version)


def test_what_no_server_loads_stays(interpreter: Interpreter) -> None:
    names = portable.of(interpreter).files
    for part in ("/test/", "/idlelib/", "/site-packages/", "__pycache__", "_tkinter", "libc.so"):
        assert not [name for name in names if part in name], part


def test_an_interpreter_without_its_library_is_refused(
    tmp_path: Path, interpreter: Interpreter
) -> None:
    lone = tmp_path / "bin" / "python"
    lone.parent.mkdir()
    shutil.copy(interpreter.executable, lone)
    moved = interpreters.Interpreter(lone, interpreter.version, interpreter.library)
    with pytest.raises(ClocheError) as refused:
        portable.of(moved)
    assert refused.value.code == "environment.python"
    assert "standard library" in refused.value.what
