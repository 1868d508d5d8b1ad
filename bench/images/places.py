"""What the bench pushes to and builds with: a registry, a Docker engine, Cloche's base."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

_REGISTRY = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"
_START_SECONDS = 60


@dataclass(frozen=True)
class Registry:
    """A registry on loopback, and where it keeps its blobs."""

    host: str
    storage: Path

    def bytes(self) -> int:
        """Return the bytes of all its files."""
        return sum(path.stat().st_size for path in self.storage.rglob("*") if path.is_file())


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Run distribution, built once from its Go module."""
    program = _program()
    storage = folder / "registry"
    port = free_port()
    configuration = {
        "version": 0.1, "log": {"level": "error"}, "http": {"addr": f"127.0.0.1:{port}"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
    }  # fmt: skip
    (folder / "registry.json").write_text(json.dumps(configuration))
    with running(
        [program, "serve", folder / "registry.json"], folder / "registry.log",
        ready=f"http://127.0.0.1:{port}/v2/", environment={"OTEL_TRACES_EXPORTER": "none"},
    ):  # fmt: skip
        yield Registry(f"127.0.0.1:{port}", storage)


def _program() -> Path:
    folder = Path.home() / ".cache" / "cloche-bench" / "registry-3.1.2"
    if not (folder / "registry").exists():
        environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOWORK": "off"}
        subprocess.run(["go", "install", "-trimpath", _REGISTRY], env=environment, check=True)
    return folder / "registry"


@contextlib.contextmanager
def docker(folder: Path) -> Iterator[str]:
    """Run a Docker engine of our own; yield its address."""
    address = f"unix://{folder}/docker.sock"
    command = [
        "dockerd", "--data-root", folder / "docker", "--exec-root", folder / "docker-exec",
        "--pidfile", folder / "docker.pid", "--host", address,
        "--bridge", "none", "--iptables=false",
    ]  # fmt: skip
    with running(command, folder / "docker.log", ready=None):
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run(["docker", "-H", address, "info"], capture_output=True).returncode:  # noqa: PLW1510
            if time.monotonic() > deadline:
                raise SystemExit(f"dockerd did not come up: {folder / 'docker.log'}")
            time.sleep(0.1)
        try:
            yield address
        finally:
            subprocess.run(["docker", "-H", address, "system", "prune", "-af"], capture_output=True)  # noqa: PLW1510
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if (point := line.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", point], check=False)
