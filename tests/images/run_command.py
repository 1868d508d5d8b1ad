"""`cloche image run` as a user calls it, where an engine publishes its ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.commands import Outcome
from fixtures.registries import nobody

LIMIT = 180.0
_INTERRUPTIBLE = ("env", "--default-signal=INT")
"""Tests that run in the background of a shell ignore ctrl-C, and so would what they start."""


@dataclass(frozen=True)
class RunCommand:
    """The command, in a process of its own."""

    within: Sequence[str]
    """What runs a command in the engine's network."""
    variables: Mapping[str, str]
    """Those that name the engine, and the home."""

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.within, *_INTERRUPTIBLE, sys.executable, "-m", "cloche", "image", "run", *words],
            env={**os.environ, **self.variables, **nobody(), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True,
        )  # fmt: skip

    def __call__(self, *words: str | Path) -> Outcome:
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.wait()
        return Outcome(process.returncode, out, err)
