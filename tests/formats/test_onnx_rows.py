"""Whether a graph mixes the rows of a batch, by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto
from onnx_models import FLOAT, model, node

from cloche.formats.onnx import batch, shapes
from cloche.formats.onnx import graph as walk

INT = TensorProto.INT64
N = "n"


def one(operator: str, before: list[Any], after: list[Any], /, **more: Any) -> ModelProto:
    return model([node(operator, "x", "y", **more)], {"x": before}, {"y": after})


def two(
    operator: str, first: Any, second: Any, after: Any, weights: Any = None, **more: Any
) -> ModelProto:
    inputs = {"x": first} if weights is not None else {"x": first, "w": second}
    constants = None if weights is None else {"w": weights}
    return model([node(operator, "x w", "y", **more)], inputs, {"y": after}, constants)


def dense(weights: Any, after: Any, operator: str = "MatMul", **more: Any) -> ModelProto:
    return two(operator, [N, 4], None, after, np.asarray(weights), **more)


ROWS = np.ones((4, 3), "f4")
MIXED = {
    "softmax over rows": (one("Softmax", [N, 4], [N, 4], axis=0), "along the axis of the rows"),
    "a sum of all": (
        model([node("ReduceMean", "x", "m"), node("Sub", "x m", "y")], {"x": [N, 4]},
              {"y": [N, 4]}),
        "reduces all axes",
    ),
    "a mean over rows": (
        model([node("ReduceMean", "x a", "m"), node("Sub", "x m", "y")], {"x": [N, 4]},
              {"y": [N, 4]}, {"a": np.array([0])}),
        "reduces the axis of the rows",
    ),
    "a sort": (
        model([node("TopK", "x k", "y i", axis=0)], {"x": [N, 4]}, {"y": [N, 4]},
              {"k": np.array([1])}),
        "first axis of 1",
    ),
    "a running sum": (dense(0, [N, 4], "CumSum"), "along the axis of the rows"),
    "rows beside columns": (two("Add", [N, 4, N], [N], [N, 4, N]), "along different axes"),
    "rows as weights": (two("MatMul", [N, 4], [N, 4, 4], [N, N, 4]), "along different axes"),
    "rows among rows": (
        model([node("Gather", "x i", "y", axis=0)], {"x": [N, 4], "i": (INT, [N])}, {"y": [N, 4]}),
        "picks among the rows",
    ),
    "a recurrent net over rows": (
        model([node("GRU", "x w r", "y4", hidden_size=2), node("Squeeze", "y4 one", "y")],
              {"x": [N, 4, 3]}, {"y": [N, 4, 2]},
              {"w": np.ones((1, 6, 3), "f4"), "r": np.ones((1, 6, 2), "f4"),
               "one": np.array([1])}),
        "runs along the axis of the rows",
    ),
    "quantised by all rows": (
        model([node("DynamicQuantizeLinear", "x", "q s z"),
               node("DequantizeLinear", "q s z", "y")], {"x": [N, 4]}, {"y": [N, 4]}),
        "looks at all rows at once",
    ),
    "an argument with rows": (
        model([node("ReduceSum", "x a", "y", keepdims=1)], {"x": [N, 4], "a": (INT, [N])},
              {"y": [N, 4]}),
        "for all rows alike",
    ),
    "rows folded behind another axis": (
        model([node("Transpose", "x", "t", perm=[1, 0, 2]), node("Reshape", "t to", "y")],
              {"x": [N, "s", 4]}, {"y": [None, None]}, {"to": np.array([0, -1])}),
        "along no first axis",
    ),
    "softmax over what has the batch's size": (
        model([node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"),
               node("Softmax", "z", "y", axis=0)], {"x": [N, 4]}, {"y": [N, 4]}),
        "along the axis of the rows",
    ),
    "layer norm over all": (
        model([node("LayerNormalization", "x s", "y", axis=0)], {"x": [N, 4], "s": [N, 4]},
              {"y": [N, 4]}),
        "takes s, which has rows",
    ),
}  # fmt: skip
APART = {
    "softmax over classes": one("Softmax", [N, 4], [N, 4]),
    "a dense layer": dense(ROWS, [N, 3]),
    "transposed and back": model(
        [node("Transpose", "x", "t", perm=[1, 0]), node("Softmax", "t", "s", axis=0),
         node("Transpose", "s", "y", perm=[1, 0])], {"x": [N, 4]}, {"y": [N, 4]},
    ),
    "folded and back": model(
        [node("Reshape", "x to", "r"), node("MatMul", "r w", "m"), node("Reshape", "m back", "y")],
        {"x": [N, 6, 4]}, {"y": [N, 6, 3]},
        {"to": np.array([-1, 4]), "w": ROWS, "back": np.array([-1, 6, 3])},
    ),
    "folded behind time and back": model(
        [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Reshape", "t to", "r"),
         node("MatMul", "r w", "m"), node("Reshape", "m back", "b"),
         node("Transpose", "b", "y", perm=[1, 0, 2])], {"x": [N, 5, 4]}, {"y": [N, 5, 3]},
        {"to": np.array([-1, 4]), "w": ROWS, "back": np.array([5, -1, 3])},
    ),
    "looked up": model(
        [node("Gather", "w x", "y")], {"x": (INT, [N, 5])}, {"y": [N, 5, 3]}, {"w": ROWS},
    ),
    "a recurrent net over time": model(
        [node("Transpose", "x", "t", perm=[1, 0, 2]), node("GRU", "t w r", "_ h", hidden_size=2),
         node("Squeeze", "h zero", "y")], {"x": [N, 5, 3]}, {"y": [N, 2]},
        {"w": np.ones((1, 6, 3), "f4"), "r": np.ones((1, 6, 2), "f4"), "zero": np.array([0])},
    ),
    "the size of the batch, written into a shape": model(
        [node("Shape", "x", "s", start=0, end=1), node("Concat", "s six", "to", axis=0),
         node("ConstantOfShape", "to", "z"), node("Add", "x z", "y")],
        {"x": [N, 6]}, {"y": [N, 6]}, {"six": np.array([6])},
    ),
    "a type taken from rows": model(
        [node("CastLike", "one x", "o"), node("Add", "x o", "y")], {"x": [N, 4]}, {"y": [N, 4]},
        {"one": np.array(1)},
    ),
    "unknown operators": model(
        [node("Mystery", "x", "y", domain="acme")], {"x": [N, 4]}, {"y": [N, 4]}
    ),
}  # fmt: skip


def axis_of(proto: Any) -> Any:
    shapes.strip_weights(proto)
    shapes.complete_outputs(proto)
    inputs = walk.specs(walk.inputs(proto.graph), "input", proto, "here")
    return batch.decide(proto, inputs, walk.specs(proto.graph.output, "output", proto, "here"))


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_are_mixed(name: str) -> None:
    proto, words = MIXED[name]
    axis = axis_of(proto)
    assert not axis.present, axis
    assert words in axis.why


@pytest.mark.parametrize("name", APART)
def test_rows_that_stay_apart(name: str) -> None:
    axis = axis_of(APART[name])
    assert axis.present, axis.why


def test_a_function_is_looked_into() -> None:
    from onnx import helper

    inner = helper.make_function(
        "own", "Norm", ["a"], ["b"], [node("Softmax", "a", "b", axis=0)],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    proto = model(
        [node("Norm", "x", "y", domain="own")], {"x": (FLOAT, [N, 4])}, {"y": [N, 4]},
        functions=[inner],
    )  # fmt: skip
    assert "Softmax" in axis_of(proto).why
