"""ONNX files that packages of the field carry, with nothing but the files.

The group `packages` of pyproject.toml installs them without what they need to run.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
import plain
import pytest

from cloche.artifacts import Severity
from cloche.formats.onnx.inspection import inspect_file
from cloche.verification import samples

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
