"""A containerd of our own, as kubelets use it, ended with all that it mounted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker_engine import mounts_below

NEEDED = ("containerd", "ctr", "runc")
START_LIMIT = 60.0
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
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["containerd", "--config", folder / "config.toml"],
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        engine = Containerd(folder)
        deadline = time.monotonic() + START_LIMIT
        while not engine.answers():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        yield engine
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        for mount in mounts_below(folder):
            subprocess.run(["umount", "-l", mount], check=True)
        shutil.rmtree(folder)
