"""Somebody who has just cloned the repository: another user of this machine, with an empty home.

A user is made for the test and removed at its end, which takes root. Others are readers themselves,
with an empty home.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from fixtures.local import until

ROOT = Path(__file__).parents[2]
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "index", "hosts")
"""Variables whose lower name ends like this say how this machine reaches a network."""
LIMIT = 900.0


@dataclass(frozen=True)
class Reader:
    """A user with a home, and a clone in it."""

    name: str | None
    """None for the user that runs the tests."""
    home: Path
    clone: Path

    def bash(self, script: str, folder: Path | None = None, **variables: str) -> str:
        """Run a script as its user, with the environment of a login; return what it printed."""
        groups: list[int] | None = None if self.name is None else []
        done = subprocess.run(
            ["bash", "-exc", script], cwd=folder or self.clone, user=self.name, group=self.name,
            extra_groups=groups, env=self._environment() | variables, capture_output=True,
            text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def _environment(self) -> dict[str, str]:
        reached = {k: v for k, v in os.environ.items() if k.lower().endswith(PASSED_ON)}
        user = self.name or os.environ.get("USER", "reader")
        return reached | {
            "HOME": str(self.home), "USER": user, "LOGNAME": user, "PATH": PROGRAMS,
            "LANG": "C.UTF-8", "NO_COLOR": "1",
        }  # fmt: skip


@contextmanager
def a_reader() -> Iterator[Reader]:
    """Give somebody a clone; nothing of them is left at the end."""
    _require_python()
    # Not under pytest's folder, which other users may not enter.
    home = Path(tempfile.mkdtemp(prefix="cloche-reader-"))
    name = _add_user(home) if os.geteuid() == 0 else None
    reader = Reader(name, home, home / "cloche")
    try:
        _clone(reader)
        yield reader
    finally:
        _end_all(reader)
        if name is not None:
            subprocess.run(["userdel", name], check=True, capture_output=True)
        shutil.rmtree(home)


def _require_python() -> None:
    """Skip where the reader would be told to install another Python first."""
    asked = "import sys; sys.exit(sys.version_info < (3, 11))"
    python = shutil.which("python3", path=PROGRAMS)
    if python is None or subprocess.run([python, "-c", asked], check=False).returncode:
        pytest.skip("needs Python 3.11 or newer as python3 of the system")


def _add_user(home: Path) -> str:
    name = f"reader-{os.getpid()}"
    command = ["useradd", "--no-create-home", "--home-dir", str(home), "--shell", "/bin/bash", name]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        home.rmdir()
        pytest.skip("needs useradd, to make a user who has never used Cloche")
    return name


def _clone(reader: Reader) -> None:
    """Copy the files of a commit of this working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for file in filter(None, listed.split("\0")):
        if (ROOT / file).is_file():
            (reader.clone / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, reader.clone / file)
    if reader.name is not None:
        subprocess.run(["chown", "-R", f"{reader.name}:", str(reader.home)], check=True)


def _end_all(reader: Reader) -> None:
    """End what a failed script has left, the control planes first: they would start it again."""
    for only in ("cloche.daemon", ""):
        for process in _processes(reader):
            if only in _command(process):
                process.kill()
    until(lambda: not _processes(reader))


def _processes(reader: Reader) -> list[psutil.Process]:
    every = list(psutil.process_iter(["username", "environ", "cmdline", "status"]))
    if reader.name is not None:
        theirs = [one for one in every if one.info["username"] == reader.name]
    else:
        home = str(reader.home)
        theirs = [one for one in every if (one.info["environ"] or {}).get("HOME") == home]
    return [one for one in theirs if one.info["status"] != psutil.STATUS_ZOMBIE]


def _command(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())
