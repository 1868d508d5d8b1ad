"""What a graph tells of its inputs: ranges of values, arguments, sizes of open axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx_models import FLOAT, model, node

from cloche.formats.onnx import graph as walk
from cloche.formats.onnx import shapes, uses

INT = TensorProto.INT64
TABLE = np.ones((10, 4), "f4")


def uses_of(proto: ModelProto, path: Any) -> uses.Uses:
    shapes.strip_weights(proto)
    shapes.complete_outputs(proto)
    return uses.find(proto, walk.specs(walk.inputs(proto.graph), "input", proto, str(path)))


def looked_up(*before: Any, **more: Any) -> ModelProto:
    """Make a lookup of ids in a table of 10 rows, after some nodes that pass them on."""
    last = before[-1].output[0] if before else "ids"
    nodes = [*before, node("Gather", f"table {last}", "y")]
    return model(nodes, {"ids": (INT, ["b", "s"])}, {"y": ["b", "s", 4]}, {"table": TABLE}, **more)


def in_a_branch() -> ModelProto:
    """Look the ids up inside one branch of an If."""
    then = helper.make_graph(
        [node("Gather", "table ids", "t")], "then", [],
        [helper.make_tensor_value_info("t", FLOAT, ["b", "s", 4])],
    )  # fmt: skip
    other = helper.make_graph(
        [node("Gather", "small ids", "e")], "else", [],
        [helper.make_tensor_value_info("e", FLOAT, ["b", "s", 4])],
    )  # fmt: skip
    return model(
        [node("If", "flag", "y", then_branch=then, else_branch=other)],
        {"ids": (INT, ["b", "s"]), "flag": (TensorProto.BOOL, [])},
        {"y": ["b", "s", 4]},
        {"table": TABLE, "small": np.ones((5, 4), "f4")},
    )


def in_a_function() -> ModelProto:
    inner = helper.make_function(
        "own", "Lookup", ["table", "ids"], ["rows"], [node("Gather", "table ids", "rows")],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    return model(
        [node("Lookup", "table ids", "y", domain="own")],
        {"ids": (INT, ["b", "s"])}, {"y": ["b", "s", 4]}, {"table": TABLE}, functions=[inner],
    )  # fmt: skip


RANGES = {
    "rows of a table": (looked_up(), "ids", (0, 9)),
    "through a cast": (looked_up(node("Cast", "ids", "c", to=TensorProto.INT32)), "ids", (0, 9)),
    "as a part": (looked_up(node("Concat", "ids ids", "c", axis=1)), "ids", (0, 9)),
    "in a branch": (in_a_branch(), "ids", (0, 4)),
    "in a function": (in_a_function(), "ids", (0, 9)),
    "a one-hot depth": (
        model([node("OneHot", "x depth values", "y")], {"x": (INT, ["b"])}, {"y": ["b", 257]},
              {"depth": np.array(257), "values": np.array([0, 1], "f4")}),
        "x", (0, 256),
    ),
    "a mask": (
        model([node("Cast", "m", "f", to=FLOAT), node("Sub", "one f", "y")],
              {"m": (INT, ["b", 4])}, {"y": ["b", 4]}, {"one": np.array(1, "f4")}),
        "m", (0, 1),
    ),
    "one of two rates": (
        model([node("Equal", "r rate", "e"), node("Cast", "e", "y", to=FLOAT)], {"r": (INT, [])},
              {"y": []}, {"rate": np.array(16000)}),
        "r", (16000, 16000),
    ),
    "a one-hot of basic operators": (
        model([node("Unsqueeze", "x last", "u"), node("Equal", "u all", "e"),
               node("Cast", "e", "y", to=FLOAT)], {"x": (INT, ["b", 8])}, {"y": ["b", 8, 257]},
              {"last": np.array([2]), "all": np.arange(257)}),
        "x", (0, 256),
    ),
    "a divisor": (model([node("Div", "x x", "y")], {"x": ["b"]}, {"y": ["b"]}), "x", (0.1, None)),
    "lengths": (
        model([node("ReverseSequence", "x n", "y", time_axis=0, batch_axis=1)],
              {"x": [5, 2], "n": (INT, [2])}, {"y": [5, 2]}),
        "n", (1, 5),
    ),
    "a count of rounds": (
        model([node("Tile", "x n", "y")], {"x": ["a", "b"], "n": (INT, [2])}, {"y": [None, None]}),
        "n", (1, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_the_range_of_an_input(name: str, tmp_path: Any) -> None:
    proto, tensor, bounds = RANGES[name]
    limit = uses_of(proto, tmp_path).ranges[tensor]
    assert (limit.low, limit.high) == bounds, limit


def argued(operator: str, before: list[Any], after: list[Any], count: int, **more: Any) -> Any:
    inputs = {"x": before, "n": (INT, [count])}
    return model([node(operator, "x n", "y", **more)], inputs, {"y": after})


ARGUMENTS = {
    "a target shape": (argued("Reshape", [2, 6], [3, 4], 2), (3, 4)),
    "with an open size": (argued("Reshape", ["b", 6], ["b", 2, 3], 3), (-1, 2, 3)),
    "of two open sizes": (argued("Reshape", ["b", "s", 6], ["b", "s", 2, 3], 4), (0, -1, 2, 3)),
    "repeats": (argued("Tile", [2, 3], [4, 9], 2), (2, 3)),
    "pads": (argued("Pad", [2, 3], [2, 8], 4), (0, 2, 0, 3)),
    "axes to reduce": (argued("ReduceSum", [2, 3, 4], [2, 4], 1, keepdims=0), (1,)),
    "axes to add": (argued("Unsqueeze", [2, 3], [2, 1, 3], 1), (1,)),
    "the largest": (
        model([node("TopK", "x n", "y i")], {"x": [2, 9], "n": (INT, [1])},
              {"y": [2, 3], "i": (INT, [2, 3])}),
        (3,),
    ),
    "after arithmetic": (
        model([node("Add", "n one", "m"), node("Expand", "x m", "y")],
              {"x": [1], "n": (INT, [1])}, {"y": [1]}, {"one": np.array([0])}),
        (1,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_told_by_shapes(name: str, tmp_path: Any) -> None:
    proto, values = ARGUMENTS[name]
    assert uses_of(proto, tmp_path).ranges["n"].values == values


def test_a_cut_is_told_whole(tmp_path: Any) -> None:
    whole = {name: (INT, [1]) for name in ("starts", "ends", "axes")}
    cut = model([node("Slice", "x starts ends axes", "y")], {"x": [4, 9], **whole}, {"y": [4, 5]})
    found = uses_of(cut, tmp_path).ranges
    assert [found[name].values for name in whole] == [(0,), (5,), (1,)]


def test_the_sizes_of_open_axes(tmp_path: Any) -> None:
    features = model(
        [node("MatMul", "x w", "y")], {"x": ["b", None]}, {"y": ["b", 2]},
        {"w": np.ones((80, 2), "f4")},
    )  # fmt: skip
    assert uses_of(features, tmp_path).sizes == {"x[1]": 80}
    channels = model(
        [node("Conv", "x w", "y")], {"x": ["b", "c", "h", "w"]}, {"y": ["b", 8, "i", "j"]},
        {"w": np.ones((8, 3, 3, 3), "f4")},
    )  # fmt: skip
    assert uses_of(channels, tmp_path).sizes == {"c": 3}


def test_a_mask_is_as_long_as_the_past_and_the_new(tmp_path: Any) -> None:
    decoder = model(
        [node("Concat", "past x", "k", axis=1), node("Add", "k mask", "y")],
        {"x": ["b", "new", 2], "past": ["b", "old", 2], "mask": ["b", "all", 1]},
        {"y": ["b", None, 2]},
    )
    assert uses_of(decoder, tmp_path).sizes == {"all": 8}


def test_most_models_tell_nothing(tmp_path: Any) -> None:
    plain = model([node("Relu", "x", "y")], {"x": ["b", 4]}, {"y": ["b", 4]})
    assert uses_of(plain, tmp_path) == uses.Uses({}, {})


def test_a_contradiction_that_no_size_ends_asks_for_none(tmp_path: Any) -> None:
    proto = model(
        [node("Concat", "x x", "c", axis=0), node("Add", "c x", "y")], {"x": ["n"]}, {"y": [None]}
    )
    assert uses_of(proto, tmp_path).sizes == {}
