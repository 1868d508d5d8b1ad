"""When requests may be joined along the first axis, and how sure that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import mlp, model, node

from cloche.artifacts import BatchAxis, Certainty
from cloche.formats.onnx import batch, shapes
from cloche.formats.onnx import graph as walk

CERTAIN, LIKELY = Certainty.CERTAIN, Certainty.LIKELY


def axis_of(proto: Any, folder: Any) -> BatchAxis:
    shapes.strip_weights(proto)
    shapes.complete_outputs(proto)
    inputs = walk.specs(walk.inputs(proto.graph), "input", proto, str(folder))
    outputs = walk.specs(proto.graph.output, "output", proto, str(folder))
    return batch.decide(proto, inputs, outputs)


def folding(*target: int) -> Any:
    """Make x[N, 64] → a reshape to a fixed size → y[N, 64]."""
    nodes = [node("Reshape", "x to", "r"), node("Reshape", "r back", "y")]
    constants = {"to": np.array(target), "back": np.array([-1, 64])}
    return model(nodes, {"x": ["N", 64]}, {"y": ["N", 64]}, constants)


def two(first: Any, second: Any) -> Any:
    return model([node("Add", "a b", "y")], {"a": [first, 4], "b": [second, 4]}, {"y": [first, 4]})


CASES = {
    "one name everywhere": (mlp("batch"), True, CERTAIN, "called batch"),
    "any one name": (mlp("s77"), True, CERTAIN, "called s77"),
    "no names, carried": (mlp(None), True, LIKELY, "shape inference carries"),
    "made-up names, carried": (mlp("unk__616", "unk__617"), True, LIKELY, "carries"),
    "made-up names of Paddle's exporter": (
        mlp("p2o.DynamicDimension.0", "p2o.DynamicDimension.2"), True, LIKELY, "carries"
    ),
    "name on one side, carried": (mlp("batch", None), True, CERTAIN, "carries"),
    "a sequence": (mlp("sequence_length"), False, LIKELY, "called sequence_length"),
    "time": (mlp("time"), False, LIKELY, "called time"),
    "detections": (mlp("batch", "num_detections"), False, LIKELY, "num_detections"),
    "two names": (two("N", "M"), False, LIKELY, "different names: M, N"),
    "fixed at one": (mlp(1), False, CERTAIN, "fixed at 1"),
    "fixed at eight": (mlp(8), False, LIKELY, "fixed at 8"),
    "one input fixed": (two("N", 1), False, LIKELY, "input b is fixed at 1"),
    "folded into one row": (folding(1, -1), False, LIKELY, "makes 1 rows"),
    "reshaped to one row": (
        model([node("Reshape", "x to", "y")], {"x": ["N", 64]}, {"y": ["N", 64]},
              {"to": np.array([1, 64])}),
        False, LIKELY, "first axis of 1",
    ),
    "behind an operator that onnx infers nothing of": (
        model(
            [node("Normalizer", "x", "n", domain="ai.onnx.ml", norm="L1"),
             node("Where", "mask n x", "y")],
            {"x": ["N", 64]}, {"y": ["N", 64]}, {"mask": np.ones((1, 64), bool)},
        ),
        True, CERTAIN, "called N",
    ),
    "reduced to a scalar": (
        model([node("ReduceSum", "x", "y", keepdims=0)], {"x": ["N", 4]}, {"y": []}),
        False, CERTAIN, "scalar",
    ),
    "transposed": (
        model([node("Transpose", "x", "y")], {"x": ["N", 64]}, {"y": [64, "N"]}),
        False, LIKELY, "output y is fixed at 64",
    ),
    "no shape": (
        model([node("Relu", "x", "y")], {"x": (1, None)}, {"y": ["N"]}),
        False, Certainty.UNKNOWN, "no declared shape",
    ),
    "rows kept by minus one": (folding(-1, 32), True, CERTAIN, "called N"),
    "rows kept by zero": (folding(0, 8, 8), True, CERTAIN, "called N"),
    "an unknown operator of the runtime": (
        model([node("FastGelu", "x", "y", domain="com.microsoft")], {"x": ["N", 4]},
              {"y": ["N", 4]}),
        True, CERTAIN, "called N",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_batch_axis(name: str, tmp_path: Any) -> None:
    proto, present, certainty, words = CASES[name]
    axis = axis_of(proto, tmp_path)
    assert (axis.present, axis.certainty) == (present, certainty), axis.why
    assert words in axis.why


def test_a_fixed_size_is_kept_and_the_way_out_is_told(tmp_path: Any) -> None:
    axis = axis_of(mlp(8), tmp_path)
    assert axis.maximum == 8
    finding = batch.finding(axis)
    assert finding is not None
    assert "dynamic" in str(finding.hint)
    assert batch.finding(axis_of(mlp("batch"), tmp_path)) is None
