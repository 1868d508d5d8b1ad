"""ONNX's own backend suite as cases: a model, a request and its right answer.

The cases come with the onnx package: one per operator and variant (`node`), models of several
nodes (`simple`), and what PyTorch's old exporter wrote (`pytorch-…`). Source:
https://github.com/onnx/onnx/blob/main/docs/OnnxBackendTest.md
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Case:
    """A model of the suite; `inputs` and `outputs` are None where one of them is no tensor."""

    name: str
    model: bytes
    inputs: Arrays | None
    outputs: Arrays | None
    relative: float
    absolute: float


@cache
def cases() -> tuple[Case, ...]:
    """Return every case, by name."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite's own overflows
        found = [_case(each) for kind in KINDS for each in load_model_tests(kind=kind)]
    return tuple(sorted(found, key=lambda case: case.name))


def _case(given: Any) -> Case:
    if given.model_dir is None:
        model, (inputs, outputs) = given.model, given.data_sets[0]
    else:
        folder = Path(given.model_dir)
        model = onnx.load(folder / "model.onnx")
        values = folder / "test_data_set_0"
        inputs = _files(values, "input", len(model.graph.input))
        outputs = _files(values, "output", len(model.graph.output))
    named = [value.name for value in model.graph.input]
    return Case(
        given.name,
        model.SerializeToString(),
        _by_name(named, inputs),
        _by_name([value.name for value in model.graph.output], outputs),
        given.rtol,
        given.atol,
    )


def _files(folder: Path, kind: str, most: int) -> list[Any]:
    read = []
    for index in range(most):
        path = folder / f"{kind}_{index}.pb"
        if path.exists():
            read.append(onnx.TensorProto.FromString(path.read_bytes()))
    return read


def _by_name(names: list[str], values: Any) -> Arrays | None:
    arrays: Arrays = {}
    for name, value in zip(names, values, strict=False):
        try:
            array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
        except (TypeError, ValueError):
            return None
        if not isinstance(array, (np.ndarray, np.generic)):
            return None
        arrays[name] = np.asarray(array)
    return arrays
