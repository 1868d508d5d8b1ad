"""A direct run ends in time, with everything it started, and says why it failed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloche.errors import ClocheError
from cloche.verification import direct_run as direct
from cloche.verification.reference.scripts import exchange

SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(exchange.__file__).parent)!r})
import exchange
def run(inputs):
    {{body}}
exchange.answer(Path(sys.argv[1]), run)
"""
ONE = [{"x": np.arange(6, dtype="f4").reshape(3, 2)}]


def model(folder: Path, body: str) -> direct.Model:
    path = folder / "script.py"
    path.write_text(SCRIPT.replace("{body}", body))
    return direct.Model(str(path), Path(sys.executable), folder, {})


def error_of(folder: Path, body: str, timeout: float = 60) -> ClocheError:
    with pytest.raises(ClocheError) as caught:
        direct.run(model(folder, body), ONE, rows=0, timeout=timeout)
    return caught.value


def test_whole_and_row_by_row(tmp_path: Path) -> None:
    body = "return {'y': inputs['x'].sum(axis=0, keepdims=True)}"
    answer = direct.run(model(tmp_path, body), ONE, rows=3, timeout=60)
    assert answer.outputs["y"].tolist() == [[6.0, 9.0]]
    assert answer.alone is not None
    assert answer.alone["y"].tolist() == ONE[0]["x"].tolist()


def test_every_type_comes_back_as_it_went(tmp_path: Path) -> None:
    types = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
    tensors: dict[str, Any] = {name: np.array([[0, 1]], name) for name in types}
    tensors["text"] = np.array([["", "naïve", b"\xff\x00"]], dtype=object)
    tensors["empty"] = np.zeros((0, 3), "f4")
    tensors["scalar"] = np.array(7, "i8")
    answer = direct.run(model(tmp_path, "return inputs"), [tensors], rows=0, timeout=60)
    assert answer.outputs["text"].tolist() == [[b"", "naïve".encode(), b"\xff\x00"]]
    for name in [*types, "empty", "scalar"]:
        np.testing.assert_array_equal(answer.outputs[name], tensors[name])
        assert answer.outputs[name].dtype == tensors[name].dtype


def test_the_first_request_that_is_taken_counts(tmp_path: Path) -> None:
    requests = [{"x": np.zeros((1, size), "f4")} for size in (1, 2, 3)]
    body = "assert inputs['x'].shape[1] > 1; return inputs"
    answer = direct.run(model(tmp_path, body), requests, rows=0, timeout=60)
    assert answer.request == 1


def test_a_refusal_has_the_models_own_words(tmp_path: Path) -> None:
    error = error_of(tmp_path, "raise ValueError('no such city')")
    assert error.code == "golden.refused"
    assert "ValueError: no such city" in error.what


def test_a_crash_shows_the_last_line_and_nothing_else(tmp_path: Path) -> None:
    body = "import os; print('x' * 10**7); print('cannot map memory', flush=True); os._exit(3)"
    error = error_of(tmp_path, body)
    assert error.code == "golden.crashed"
    assert error.what.endswith("exit code 3: cannot map memory")
    error = error_of(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "SIGSEGV" in error.what


def test_when_time_is_up_children_end_too(tmp_path: Path) -> None:
    body = (
        "import subprocess, time; p = subprocess.Popen(['sleep', '600']);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    error = error_of(tmp_path, body, timeout=3)
    assert error.code == "golden.timeout"
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(child):
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_python_that_is_gone(tmp_path: Path) -> None:
    gone = direct.Model("run_onnx.py", tmp_path / "bin" / "python", tmp_path, {})
    with pytest.raises(ClocheError) as caught:
        direct.run(gone, ONE, rows=0, timeout=5)
    assert caught.value.code == "golden.environment"


def test_the_users_secrets_are_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_TOKEN", "secret")
    body = "import os; assert 'MLFLOW_TRACKING_TOKEN' not in os.environ; return inputs"
    direct.run(model(tmp_path, body), ONE, rows=0, timeout=60)
