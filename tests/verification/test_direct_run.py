"""A direct run ends in time, with everything it started, and says why it failed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloche.artifacts import RequestOrigin
from cloche.errors import ClocheError
from cloche.verification import asked, limits
from cloche.verification import direct_run as direct
from cloche.verification.asked import Request
from cloche.verification.reference.scripts import exchange

SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(exchange.__file__).parent)!r})
import exchange, job
import numpy as np
class Model(job.Framework):
    def run(self, inputs):
        {{body}}
job.work(Path(sys.argv[1]), Model())
"""
MADE, GIVEN = RequestOrigin.MADE, RequestOrigin.GIVEN
ONE = Request({"x": np.arange(6, dtype="f4").reshape(3, 2)}, GIVEN)


def model(folder: Path, body: str) -> asked.Model:
    path = folder / "script.py"
    path.write_text(SCRIPT.replace("{body}", body))
    return asked.Model(str(path), Path(sys.executable), folder, {})


def attempt(
    folder: Path, body: str, *requests: Request, timeout: float = 60, outputs: Any = None
) -> asked.Attempts:
    asked = requests or (ONE,)
    return direct.attempt(model(folder, body), asked, outputs=outputs or {}, timeout=timeout)


def error_of(folder: Path, body: str, timeout: float = 60) -> ClocheError:
    with pytest.raises(ClocheError) as caught:
        attempt(folder, body, timeout=timeout)
    return caught.value


def accepted(attempts: asked.Attempts) -> asked.Accepted:
    assert attempts.accepted is not None, attempts.refused
    return attempts.accepted


def test_rows_together_alone_and_in_another_order(tmp_path: Path) -> None:
    body = "return {'y': inputs['x'].cumsum(axis=0)}"
    answer = accepted(attempt(tmp_path, body, replace(ONE, rows=3)))
    assert answer.outputs["y"].tolist() == [[0, 1], [2, 4], [6, 9]]
    assert answer.alone is not None
    assert answer.alone["y"].tolist() == ONE.tensors["x"].tolist()
    assert answer.permuted is not None
    assert answer.permuted["y"].tolist() == [[6, 9], [6, 8], [4, 5]]


def test_a_row_that_is_refused_alone(tmp_path: Path) -> None:
    body = "assert len(inputs['x']) > 1, 'a batch'; return inputs"
    answer = accepted(attempt(tmp_path, body, replace(ONE, rows=3)))
    assert answer.rows_error == "AssertionError: a batch"


def test_every_type_comes_back_as_it_went(tmp_path: Path) -> None:
    types = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
    tensors: dict[str, Any] = {name: np.array([[0, 1]], name) for name in types}
    tensors["text"] = np.array([["", "naïve", b"\xff\x00"]], dtype=object)
    tensors["empty"] = np.zeros((0, 3), "f4")
    tensors["scalar"] = np.array(7, "i8")
    answer = accepted(attempt(tmp_path, "return inputs", Request(tensors, GIVEN)))
    assert answer.outputs["text"].tolist() == [[b"", "naïve".encode(), b"\xff\x00"]]
    for name in [*types, "empty", "scalar"]:
        np.testing.assert_array_equal(answer.outputs[name], tensors[name])
        assert answer.outputs[name].dtype == tensors[name].dtype


def sized(*sizes: int) -> list[Request]:
    return [Request({"x": np.ones((1, size), "f4")}, MADE) for size in sizes]


def test_the_first_request_that_is_taken_counts(tmp_path: Path) -> None:
    body = "assert inputs['x'].shape[1] > 1; return inputs"
    attempts = attempt(tmp_path, body, *sized(1, 2, 3))
    assert accepted(attempts).request == 1
    assert [(each.request, each.kind) for each in attempts.refused] == [(0, "input")]


@pytest.mark.parametrize(
    ("answers", "best", "fits", "values"),
    [
        (["np.full(2, np.nan)", "np.array([1, np.nan])", "np.ones(2)"], 2, True, 2),
        (["np.ones(3)", "np.array([1, np.inf])"], 1, True, 1),
        (["np.zeros((0, 2))", "np.full((1, 2, 1), np.nan)"], 1, True, 0),
        (["np.ones(3)", "np.ones(4)"], 0, False, 2),
        (["np.array([], 'i8').reshape(2, 0)"], 0, False, 0),
    ],
)
def test_the_best_answer_counts(
    answers: list[str], best: int, fits: bool, values: int, tmp_path: Path
) -> None:
    listed = ", ".join(answers)
    body = f"return {{'y': [{listed}][inputs['x'].shape[1] - 1]}}"
    requests = sized(*range(1, len(answers) + 1))
    answer = accepted(attempt(tmp_path, body, *requests, outputs={"y": (2,)}))
    assert (answer.request, answer.fits, answer.values) == (best, fits, values)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("raise ValueError('no such city')", "input", "ValueError: no such city"),
        ("import nothing_of_this_name", "model", "ModuleNotFoundError"),
        ("return inputs['x'].no_such", "model", "AttributeError"),
        ("raise MemoryError('8 TiB')", "memory", "MemoryError: 8 TiB"),
    ],
)
def test_a_refusal_has_the_models_own_words(
    body: str, kind: str, words: str, tmp_path: Path
) -> None:
    attempts = attempt(tmp_path, body)
    assert attempts.accepted is None
    (refused,) = attempts.refused
    assert refused.kind == kind
    assert words in refused.error


def test_a_request_that_ends_the_process_is_refused_and_the_next_is_asked(tmp_path: Path) -> None:
    body = (
        "import os; print('cannot map memory', flush=True) or os._exit(3)"
        " if inputs['x'].shape[1] == 2 else None; return inputs"
    )
    attempts = attempt(tmp_path, body, *sized(2, 2, 1))
    assert accepted(attempts).request == 2
    assert [each.kind for each in attempts.refused] == ["crash", "crash"]
    assert attempts.refused[0].error.endswith("exit code 3: cannot map memory")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("import time; time.sleep(600 * (inputs['x'].shape[1] - 1)); return inputs", "time"),
        ("while inputs['x'].shape[1] > 1: pass\n        else: return inputs", "time"),
        ("x = np.ones((inputs['x'].shape[1] - 1) * 2**37, 'u1'); return inputs", "memory"),
    ],
)
def test_a_made_request_has_limits_of_its_own(
    body: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROCESSOR_SECONDS", 1.0)
    monkeypatch.setattr(limits, "SECONDS", 5.0)
    little = partial(limits.Limits, free=2**29)
    monkeypatch.setattr(direct, "Limits", little)
    attempts = attempt(tmp_path, body, *sized(2, 1))
    assert accepted(attempts).request == 1
    assert [each.kind for each in attempts.refused] == [kind]


def test_a_model_that_cannot_be_loaded_shows_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("import sys; print('x' * 10**7); sys.exit(f'no library in {sys.argv[2]}/a')")
    broken = asked.Model(str(path), Path(sys.executable), tmp_path, {}, name="models:/digits/3")
    with pytest.raises(ClocheError) as caught:
        direct.attempt(broken, [ONE], outputs={}, timeout=60)
    assert caught.value.code == "golden.crashed"
    assert caught.value.what.endswith("exit code 1: no library in models:/digits/3/a")
    assert caught.value.where == "models:/digits/3"


def test_a_locale_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    said = "Fail: string_normalizer.cc:235 Failed to construct locale with name:en_US.UTF-8:no"
    path.write_text(f"import sys; sys.exit({said!r})")
    broken = asked.Model(str(path), Path(sys.executable), tmp_path, {}, name="./text.onnx")
    with pytest.raises(ClocheError, match=r"the locale en_US\.UTF-8,") as caught:
        direct.attempt(broken, [ONE], outputs={}, timeout=60)
    assert (caught.value.code, caught.value.where) == ("golden.locale", "./text.onnx")


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
    gone = asked.Model("run_onnx.py", tmp_path / "bin" / "python", tmp_path, {})
    with pytest.raises(ClocheError) as caught:
        direct.attempt(gone, [ONE], outputs={}, timeout=5)
    assert caught.value.code == "golden.environment"


def test_the_users_secrets_are_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_TOKEN", "secret")
    body = "import os; assert 'MLFLOW_TRACKING_TOKEN' not in os.environ; return inputs"
    accepted(attempt(tmp_path, body))
