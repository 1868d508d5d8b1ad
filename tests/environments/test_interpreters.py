"""Which Python is taken: one of the versions asked for, that Triton can embed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloche.environments import interpreters


def usable(minor: str) -> Callable[[Path], interpreters.Interpreter | None]:
    def probe(executable: Path) -> interpreters.Interpreter | None:
        if executable.name != f"python{minor}":
            return None
        first, second = map(int, minor.split("."))
        return interpreters.Interpreter(executable, (first, second, 1), executable)

    return probe


def test_an_interpreter_that_no_stub_can_embed_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for minor in ("3.9", "3.10", "3.12"):
        executable = tmp_path / f"python{minor}"
        executable.touch()
        executable.chmod(0o755)
    monkeypatch.setattr(interpreters, "probe", usable("3.10"))
    monkeypatch.setattr(interpreters.uv, "run", lambda *_, **__: "[]")
    environment = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    minors = ("3.12", "3.11", "3.10", "3.9")
    found = interpreters.find(minors, environment=environment, folder=tmp_path)
    assert found.minor == "3.10"


def test_the_interpreter_that_runs_this_is_described_or_refused(tmp_path: Path) -> None:
    assert interpreters.probe(tmp_path / "absent") is None
    (tmp_path / "false").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "false").chmod(0o755)
    assert interpreters.probe(tmp_path / "false") is None
