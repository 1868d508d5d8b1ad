"""A Docker engine of our own: real dockerd, with its own data, ended with all that it mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import engine_process

NEEDED = ("dockerd", "docker", "containerd", "runc", "iptables", "nsenter")


def missing() -> str | None:
    """What keeps an engine from running here, and what to do about it."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}: apt-get install docker.io"
    return None if os.geteuid() == 0 else "needs root, to start dockerd"


def buildkit() -> str | None:
    """A client that builds by BuildKit: that of Debian does; others need the plugin buildx."""
    clients = dict.fromkeys((shutil.which("docker"), "/usr/bin/docker"))
    for client in clients:
        if client is not None and Path(client).exists():
            words = [client, "build", "--help"]
            environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
            done = subprocess.run(words, env=environment, capture_output=True, check=False)
            if done.returncode == 0 and b"--progress" in done.stdout:
                return client
    return None


@dataclass(frozen=True)
class Docker:
    """A running engine."""

    socket: Path
    process: int

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command where the engine's ports are published."""
        return ("nsenter", "--net", "--target", str(self.process))

    def __call__(self, *words: str | Path, code: int = 0) -> str:
        """Run a command of docker; return what it printed."""
        return self.piped(None, *words, code=code)

    def piped(self, stdin: IO[bytes] | None, *words: str | Path, code: int = 0) -> str:
        """Run a command that reads a file."""
        done = subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", *words], capture_output=True, text=True,
            timeout=180, check=False, stdin=stdin or subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def holds(self) -> tuple[set[str], set[str]]:
        """Its containers and images."""
        return (
            set(self("ps", "--all", "--quiet").split()),
            set(self("images", "--all", "--quiet", "--no-trunc").split()),
        )

    def build(self, context: Path, tag: str, *words: str) -> str:
        """Build an image as a user does who has BuildKit; containers are in this network."""
        program = buildkit()
        assert program is not None
        done = subprocess.run(
            [program, "-H", f"unix://{self.socket}", "build", "--network", "host", "--progress",
             "plain", "--tag", tag, *words, context],
            env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True, text=True,
            timeout=600, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


APART = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""The words that run a command in a network of its own, which ends with it."""
_NO_NETWORK = ("--bridge", "none", "--iptables=false")


@contextmanager
def running(*, bridge: bool = False) -> Iterator[Docker]:
    """Start an engine that leaves the machine's network as it is.

    It has none for its containers, or, with a bridge, lives with them in a namespace of its own,
    which goes with it.
    """
    folder = Path(tempfile.mkdtemp(prefix="cloche-docker-"))
    socket = folder / "socket"
    command = [
        *(APART if bridge else ()),
        "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec",
        "--pidfile", folder / "pid", "-H", f"unix://{socket}", *(() if bridge else _NO_NETWORK),
    ]  # fmt: skip
    with engine_process.running(command, folder, lambda: answers(socket)) as process:
        yield Docker(socket, process.pid)


def answers(socket: Path) -> bool:
    """Whether an engine is there."""
    words = ["docker", "-H", f"unix://{socket}", "info"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
