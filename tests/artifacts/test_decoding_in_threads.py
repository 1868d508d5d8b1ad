"""Artefacts are decoded by several threads at once: those of a command, and those of the API."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading

from cloche import artifacts
from cloche.testing import deployment

sys.setswitchinterval(1e-6)
made = deployment("digits")
data, plain = artifacts.encode(made), artifacts.to_builtins(made)
start, found = threading.Barrier(8), []


def read(one):
    start.wait()
    again = one()
    found.append(again == made)


ways = [lambda: artifacts.decode(artifacts.Deployment, data),
        lambda: artifacts.convert(artifacts.Deployment, plain)]
threads = [threading.Thread(target=read, args=(ways[number % 2],)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert found == [True] * 8
"""


@pytest.mark.parametrize("_", range(3))
def test_a_type_that_nobody_has_read_yet(_: int) -> None:
    """What reads a type that another thread is still learning of ended the process (SIGSEGV)."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
