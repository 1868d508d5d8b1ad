"""`cloche image run` as a user calls it, where an engine publishes its ports."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from docker_engine import Docker

from fixtures.commands import Outcome
from fixtures.registries import nobody

LIMIT = 180.0


@dataclass(frozen=True)
class RunCommand:
    """The command, in a process of its own."""

    docker: Docker
    home: Path

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        told = {"DOCKER_HOST": f"unix://{self.docker.socket}", "CLOCHE_HOME": str(self.home)}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.docker.inside, sys.executable, "-m", "cloche", "image", "run", *words],
            env={**os.environ, **told, **nobody(), "NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
            stdout=pipe, stderr=pipe, text=True,
        )  # fmt: skip

    def __call__(self, *words: str | Path) -> Outcome:
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.wait()
        return Outcome(process.returncode, out, err)
