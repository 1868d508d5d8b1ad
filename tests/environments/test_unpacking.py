"""Environments as images hold them: unpacked for any Linux, compiled to the same bytes."""

from __future__ import annotations

import importlib.util
import marshal
import os
import platform
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import wheels
from wheels import PYTHON

from cloche import environments
from cloche.artifacts import digest_of
from cloche.environments import bytecode, unpacking
from cloche.environments.compilers import Compiler
from cloche.errors import ClocheError
from cloche.progress import SilentProgress
from cloche.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Lock

OWN = Compiler(platform.python_version(), (sys.executable,))
"""The Python of the tests as the one that compiles."""


def unpack(lock: Lock, folder: Path, environment: dict[str, str], machine: str = "x86_64") -> None:
    unpacking.unpack(
        lock.text, folder, python=lock.python, architecture=machine, glibc="2.36",
        environment=environment,
    )  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): digest_of(path.read_bytes())
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_only_the_packages_are_there(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    unpack(lock, tmp_path / "out", environment)
    assert list(digests(tmp_path / "out")) == [
        *(f"branch-1.0.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
        "branch.py",
        *(f"leaf-2.0.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
        "leaf.py",
    ]
    record = (tmp_path / "out" / "leaf-2.0.dist-info" / "RECORD").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in record) == [
        "leaf-2.0.dist-info/METADATA", "leaf-2.0.dist-info/RECORD", "leaf-2.0.dist-info/WHEEL",
        "leaf.py",
    ]  # fmt: skip


def test_two_machines_unpack_and_compile_the_same_bytes(
    tmp_path: Path, lock: Lock, environment: dict[str, str]
) -> None:
    for name in ("one", "two"):
        unpack(lock, tmp_path / name, environment)
        bytecode.compile_folder(tmp_path / name, OWN, shown="/cloche/env")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_package_without_a_wheel_for_the_platform_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    version = PYTHON.replace(".", "")
    wheels.write(folder, "native", "1.0", tag=f"cp{version}-cp{version}-manylinux_2_17_x86_64")
    environment = {
        **os.environ, "UV_DEFAULT_INDEX": folder.as_uri(), "UV_CACHE_DIR": f"{folder}-cache",
    }  # fmt: skip
    lock = environments.lock(
        ("native",), PYTHON, store=Store(tmp_path / "store", 2**30), progress=SilentProgress(),
        environment=environment,
    )  # fmt: skip
    unpack(lock, tmp_path / "amd64", environment)
    assert (tmp_path / "amd64" / "native.py").is_file()
    with pytest.raises(ClocheError) as caught:
        unpack(lock, tmp_path / "arm64", environment, "aarch64")
    assert caught.value.code == "environment.platform"
    assert "native" in caught.value.what
    assert re.search(r"aarch64.manylinux_2_36", caught.value.what)


SOURCE = '''
"""A module."""
NAMES = {"b", "a", "c"}
def call(value, *, name="x"):
    return value in {"x", "y", "z", name} and [call(each) for each in (1, 2.5, None, ...)]
'''


def test_bytecode_is_what_python_imports(tmp_path: Path) -> None:
    """Unchecked by hash, with the path of the image, the same whatever the interpreter held."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "module.py").write_text(SOURCE)
    (tmp_path / "kept" / "broken.py").write_text("print 'Python 2'")
    compiled = []
    for _ in range(2):
        bytecode.compile_folder(tmp_path / "kept", OWN, shown="/cloche/env")
        compiled.append(next(tmp_path.rglob("module.*.pyc")).read_bytes())
    assert compiled[0] == compiled[1]
    assert [path.name.split(".")[0] for path in tmp_path.rglob("*.pyc")] == ["module"]
    header, code = compiled[0][:16], marshal.loads(compiled[0][16:])
    assert header[:4] == importlib.util.MAGIC_NUMBER
    assert header[4:8] == b"\x01\0\0\0"
    assert code.co_filename == "/cloche/env/module.py"
    # Unchecked: the source that replaced it is not looked at.
    (tmp_path / "kept" / "module.py").write_text("raise SystemExit('the source was read')")
    program = "import module; print(sorted(module.NAMES), module.call('y'))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "kept", capture_output=True, text=True,
        check=True, env={"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.stdout.startswith("['a', 'b', 'c'] [")
