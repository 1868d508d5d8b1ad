"""What `make test` leaves out is said, by one process and by several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_usual(): pass

@pytest.mark.thorough
def test_further(): pass
"""
USUAL = ("-m", "not thorough")
SAID = "left out: 1 thorough tests; `make test-thorough` runs them"


@pytest.mark.parametrize(
    ("words", "said"), [(USUAL, True), (("-n", "2", *USUAL), True), ((), False)]
)
def test_it_is_said_where_it_is_so(tmp_path: Path, words: tuple[str, ...], said: bool) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = thorough\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "fixtures.thorough", *words], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (SAID in done.stdout) is said, done.stdout
    assert f"{1 if said else 2} passed" in done.stdout
