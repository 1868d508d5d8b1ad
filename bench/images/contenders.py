"""What is measured: from files on disk to an image in a registry, by each builder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.images.places import Registry

_BLOCK = 2**20
_LIMIT = 3600


@dataclass(frozen=True)
class Measured:
    """One run: seconds, the most memory of one process in bytes, and bytes that were stored."""

    seconds: float
    memory: int
    stored: int


@dataclass(frozen=True)
class Bench:
    """Where everything is; `base` is the reference of the base in the registry."""

    folder: Path
    registry: Registry
    docker: str | None
    base: str

    def cloche(self, model: Path, tag: str, *, home: Path) -> Measured:
        """`cloche image build --push`."""
        command = [
            sys.executable, "-m", "cloche", "image", "build", str(model), "--base", self.base,
            "--push", "--tag", self.image("cloche", tag),
        ]  # fmt: skip
        return self._run([command], {"CLOCHE_HOME": str(home)})

    def buildah(self, model: Path, tag: str) -> Measured:
        """`buildah bud` and push, layers as it makes them."""
        name = self.image("buildah", tag)
        common = ["buildah", "--root", f"{self.folder}/buildah", "--runroot",
                  f"{self.folder}/buildah-run"]  # fmt: skip
        return self._run([
            [*common, "bud", "--isolation", "chroot", "--tls-verify=false", "--layers",
             "-f", str(self._dockerfile()), "-t", name, str(model)],
            [*common, "push", "--tls-verify=false", name],
        ])  # fmt: skip

    def docker_build(self, model: Path, tag: str) -> Measured:
        """`docker build` and push."""
        name = self.image("docker", tag)
        common = ["docker", "-H", str(self.docker)]
        return self._run([
            [*common, "build", "-q", "-f", str(self._dockerfile()), "-t", name, str(model)],
            [*common, "push", "-q", name],
        ], {"DOCKER_BUILDKIT": "0"})  # fmt: skip

    def floor(self, model: Path) -> float:
        """Return the seconds to copy all bytes of a folder with their digest, synced once."""
        target = self.folder / "floor"
        began = time.monotonic()
        for path in sorted(model.rglob("*")):
            if path.is_file():
                digest = hashlib.sha256()
                with path.open("rb") as source, target.open("wb") as copy:
                    while block := source.read(_BLOCK):
                        digest.update(block)
                        copy.write(block)
                    copy.flush()
                    os.fsync(copy.fileno())
        seconds = time.monotonic() - began
        target.unlink()
        return seconds

    def image(self, builder: str, tag: str) -> str:
        """Return the name under which a builder pushes; each round has a repository of its own."""
        number, _, version = tag.rpartition("-")
        return f"{self.registry.host}/{builder}/weights{number}:{version}"

    def _dockerfile(self) -> Path:
        path = self.folder / "Dockerfile"
        path.write_text(f'FROM {self.base}\nCOPY . /models\nENTRYPOINT ["tritonserver"]\n')
        return path

    def _run(
        self, commands: Sequence[Sequence[str]], environment: Mapping[str, str] | None = None
    ) -> Measured:
        before = self.registry.bytes()
        began = time.monotonic()
        memory = max(_memory_of(command, {**os.environ, **(environment or {})})
                     for command in commands)  # fmt: skip
        return Measured(time.monotonic() - began, memory, self.registry.bytes() - before)


def _memory_of(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, and return the largest resident memory of it in bytes."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{said.decode(errors='replace')[-2000:]}")
    return usage.ru_maxrss * 1024
