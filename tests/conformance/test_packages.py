"""ONNX files that packages of the field carry, with nothing but the files.

The group `packages` of pyproject.toml installs them without what they need to run.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import plain
import pytest
from deployed import EQUAL, Question, ask_built

from cloche import pipeline
from cloche.artifacts import Judge, Severity
from cloche.formats.onnx.inspection import inspect_file
from cloche.progress import SilentProgress
from cloche.spec import ServiceSpec
from cloche.verification import samples

if TYPE_CHECKING:
    from onnx_suite import Arrays
    from onnxruntime import InferenceSession

    from fixtures.local import LocalHome
    from fixtures.triton import TritonStarter

PACKAGES = {"magika": 1, "rapidocr-onnxruntime": 3, "silero-vad": 6}
"""By package: how many ONNX files it has at least."""


def _models(package: str) -> list[Path]:
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        pytest.skip(f"needs {package}: uv sync --group packages")
    return sorted(Path(str(path.locate())) for path in listed if path.suffix == ".onnx")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_made_request_is_accepted_by_each_model(package: str) -> None:
    models = _models(package)
    assert len(models) >= PACKAGES[package]
    for path in models:
        facts = inspect_file(path)
        assert not [one for one in facts.findings if one.severity is Severity.ERROR]
        loaded = plain.session(path.read_bytes())
        troubles = []
        for request in samples.candidates(facts, rows=2 if facts.batch.present else 0):
            try:
                answer = plain.run(loaded, request)
            except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
                troubles.append(str(error)[:200])
                continue
            assert plain.fault(answer, facts.outputs) is None
            if facts.batch.present:
                alone = plain.run(loaded, {name: array[:1] for name, array in request.items()})
                for name, array in alone.items():
                    np.testing.assert_allclose(answer[name][:1], array, rtol=1e-3, atol=1e-4)
            break
        else:
            pytest.fail(f"{path.name}: {troubles}")


def test_each_model_is_deployed_with_nothing_but_its_file(
    local_home: LocalHome, triton_starter: TritonStarter
) -> None:
    """Prepared as for a deploy, judged by ONNX Runtime itself, and served as it answers."""
    questions, repositories = [], {}
    for number, path in enumerate(path for package in PACKAGES for path in _models(package)):
        name = f"model-{number}"
        prepared = pipeline.prepare(
            ServiceSpec(model=str(path), name=name), directory=path.parent,
            settings=local_home.settings, progress=SilentProgress(),
        )  # fmt: skip
        assert prepared.golden is not None
        assert prepared.golden.judge is Judge.REFERENCE, prepared.golden.why
        loaded = plain.session(path.read_bytes())
        rows = 2 if prepared.main.facts.batch.present else 0
        request = next(
            one for one in samples.candidates(prepared.main.facts, rows=rows)
            if _answers(loaded, one)
        )  # fmt: skip
        questions.append(Question(name, path.read_bytes(), request))
        repositories[name] = prepared.repository
    outcomes = list(ask_built(questions, repositories, local_home.store, triton_starter))
    assert len(outcomes) == len(questions) >= sum(PACKAGES.values())
    assert not [one for one in outcomes if one.verdict != EQUAL]


def _answers(loaded: InferenceSession, request: Arrays) -> bool:
    try:
        plain.run(loaded, request)
    except Exception:  # noqa: BLE001 - the runtime's errors have no common base
        return False
    return True
