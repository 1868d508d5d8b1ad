"""Requests that Triton hands over together, without a server: what a failed joint run leaves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cloche.servers.triton

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_BACKEND = Path(cloche.servers.triton.__file__).parent / "backends" / "onnxruntime"
CONFIG = {"name": "lookup", "max_batch_size": 8, "output": [{"name": "y", "dims": [1]}]}


@pytest.fixture(scope="module")
def batches() -> Iterator[ModuleType]:
    """Import the backend's module as the stub does: from its own folder, outside the package."""
    sys.path.insert(0, str(_BACKEND))
    try:
        import onnx_batches

        yield onnx_batches
    finally:
        sys.path.remove(str(_BACKEND))
        for name in ("onnx_batches", "onnx_bfloat16", "onnx_signature", "onnx_session"):
            sys.modules.pop(name, None)


class Session:
    """Doubles numbers, and refuses a run with one above 9."""

    def run(self, names: list[str], feed: dict[str, Any], options: object) -> list[Any]:
        if feed["x"].max() > 9:
            raise ValueError("indices element out of data bounds")
        return [feed["x"] * 2]


class Request:
    def __init__(self, *values: int) -> None:
        self._array = np.array([[value] for value in values])

    def inputs(self) -> list[Any]:
        return [SimpleNamespace(name=lambda: "x", as_numpy=lambda: self._array)]

    def requested_output_names(self) -> list[str]:
        return ["y"]


def runner(batches: ModuleType) -> tuple[Any, list[str]]:
    warnings: list[str] = []
    pb_utils = SimpleNamespace(
        Tensor=lambda name, array: array,
        InferenceResponse=lambda tensors, error=None: error or tensors[0].tolist(),
        TritonError=lambda text: text,
        Logger=SimpleNamespace(log_warn=warnings.append),
    )
    tensor = SimpleNamespace(name="x", datatype="INT64", shape=(-1, 1))
    output = SimpleNamespace(name="y", datatype="INT64", shape=(-1, 1))
    signature = SimpleNamespace(inputs={"x": tensor}, overridable={}, outputs={"y": output})
    return batches.Runner(Session(), signature, CONFIG, None, pb_utils), warnings


def test_requests_that_fit_are_run_together(batches: ModuleType) -> None:
    running, warnings = runner(batches)
    assert running.answer([Request(1), Request(2, 3)]) == [[[2]], [[4], [6]]]
    assert running.split_runs == 0
    running.close()
    assert warnings == []


def test_failed_joint_runs_are_counted_and_the_first_is_logged(batches: ModuleType) -> None:
    running, warnings = runner(batches)
    for _ in range(3):
        answers = running.answer([Request(1), Request(10), Request(2)])
        assert answers == [[[2]], "indices element out of data bounds", [[4]]]
    assert running.split_runs == 3
    (first,) = warnings
    assert "'lookup': 3 requests" in first
    assert "indices element out of data bounds" in first
    running.close()
    assert warnings[1:] == ["'lookup': 3 joint runs failed in all"]


def test_a_lone_request_that_fails_is_not_a_failed_joint_run(batches: ModuleType) -> None:
    running, _ = runner(batches)
    assert running.answer([Request(10)]) == ["indices element out of data bounds"]
    assert running.split_runs == 0
