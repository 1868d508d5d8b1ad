"""A containerd of our own, as kubelets use it, ended with all that it mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import engine_process

NEEDED = ("containerd", "ctr", "runc")
CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/socket"
"""


def missing() -> str | None:
    """What keeps containerd from running here, and what to do about it."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}: apt-get install containerd runc"
    return None if os.geteuid() == 0 else "needs root, to start containerd"


@dataclass(frozen=True)
class Containerd:
    """A running containerd."""

    folder: Path

    def __call__(self, *words: str | Path, code: int = 0) -> str:
        """Run a command of ctr; return what it printed."""
        done = subprocess.run(
            ["ctr", "-a", self.folder / "socket", "-n", "test", *words], capture_output=True,
            text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def answers(self) -> bool:
        words = ["ctr", "-a", self.folder / "socket", "version"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def running() -> Iterator[Containerd]:
    """Start it with folders of its own."""
    folder = Path(tempfile.mkdtemp(prefix="cloche-containerd-"))
    (folder / "config.toml").write_text(CONFIG.format(folder=folder))
    engine = Containerd(folder)
    command = ["containerd", "--config", folder / "config.toml"]
    with engine_process.running(command, folder, engine.answers):
        yield engine
