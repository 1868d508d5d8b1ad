"""Small ONNX models, one per kind of shape, each with a request and its right answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[np.generic]"]
Shape = list[int | str | None]

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
BATCH = "batch"


@dataclass(frozen=True)
class Case:
    """A model, what a client sends (with the batch axis) and gets, and what the config must say."""

    name: str
    model: Callable[[], onnx.ModelProto]
    request: Arrays
    answer: Arrays
    max_batch_size: int
    dims: dict[str, list[int]]
    asked: dict[str, object] = field(default_factory=dict)
    """What the spec says beside the model."""


def _model(
    inputs: list[tuple[str, int, Shape | None]],
    outputs: list[tuple[str, int, Shape | None]],
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto] | None = None,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        constants or [],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def _double(datatype: int, shape: Shape) -> Callable[[], onnx.ModelProto]:
    """y = x + x, which every numeric type and shape can do."""
    return lambda: _model(
        [("x", datatype, shape)],
        [("y", datatype, shape)],
        [helper.make_node("Add", ["x", "x"], ["y"])],
    )


def _identity(datatype: int, shape: Shape) -> Callable[[], onnx.ModelProto]:
    return lambda: _model(
        [("x", datatype, shape)],
        [("y", datatype, shape)],
        [helper.make_node("Identity", ["x"], ["y"])],
    )


def _total() -> onnx.ModelProto:
    """y[b] = Σ x[b, :]: an output with no axis beside the batch."""
    return _model(
        [("x", FLOAT, [BATCH, 3])],
        [("y", FLOAT, [BATCH])],
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        [helper.make_tensor("axes", INT64, [1], [1])],
    )


def _several() -> onnx.ModelProto:
    """Two inputs of two types and two outputs."""
    return _model(
        [("left", FLOAT, [BATCH, 2]), ("right", INT64, [BATCH, 2])],
        [("sum", FLOAT, [BATCH, 2]), ("same", INT64, [BATCH, 2])],
        [
            helper.make_node("Cast", ["right"], ["cast"], to=FLOAT),
            helper.make_node("Add", ["left", "cast"], ["sum"]),
            helper.make_node("Identity", ["right"], ["same"]),
        ],
    )


def _with_a_default() -> onnx.ModelProto:
    """y = x * scale, where a request may leave the scale out: it is 2 then."""
    return _model(
        [("x", FLOAT, [BATCH, 3]), ("scale", FLOAT, [1])],
        [("y", FLOAT, [BATCH, 3])],
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        [helper.make_tensor("scale", FLOAT, [1], [2])],
    )


def _without_shapes() -> onnx.ModelProto:
    """y = Σ x[b, :], whose input and output declare no axes at all."""
    return _model(
        [("x", FLOAT, None)],
        [("y", FLOAT, None)],
        [helper.make_node("Gemm", ["x", "ones"], ["y"])],
        [helper.make_tensor("ones", FLOAT, [3, 1], [1, 1, 1])],
    )


def _floats(*shape: int) -> NDArray[np.float32]:
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)


_X, _PIXELS, _SEQUENCE = _floats(4, 3), _floats(2, 3, 4, 4), _floats(2, 5, 3)
_WORDS = np.array([["one", "zwei"], ["三", ""]], dtype=np.object_)
_WORDS_ONCE = np.array(["one", "zwei"], dtype=np.object_)

CASES = (
    Case("vector", _double(FLOAT, [BATCH, 3]), {"x": _X}, {"y": _X * 2}, 1024, {"x": [3]}),
    Case(
        "everything-asked",
        _double(FLOAT, [BATCH, 3]),
        {"x": _X},
        {"y": _X * 2},
        16,
        {"x": [3]},
        {
            "batching": {
                "max_batch_size": 16,
                "max_queue_delay": "1ms",
                "preferred_batch_sizes": [4, 8],
                "max_queue_size": 100,
                "queue_timeout": "20s",
            },
            "instances": 2,
            "resources": {"cpu": 2, "memory": "1Gi"},
            "server": {
                "parameters": {"inter_op_thread_count": 1, "enable_mem_arena": 0},
                "graph_optimization": "basic",
            },
        },
    ),
    Case(
        "alone-with-a-queue",
        _double(FLOAT, [BATCH, 3]),
        {"x": _X},
        {"y": _X * 2},
        0,
        {"x": [-1, 3]},
        {"batching": {"max_batch_size": 0, "max_queue_size": 100}},
    ),
    Case(
        "image",
        _double(FLOAT, [BATCH, 3, 4, 4]),
        {"x": _PIXELS},
        {"y": _PIXELS * 2},
        1024,
        {"x": [3, 4, 4]},
    ),
    Case(
        "item-scalar",
        _double(FLOAT, [BATCH]),
        {"x": _floats(4, 1)},
        {"y": _floats(4, 1) * 2},
        1024,
        {"x": [1], "y": [1]},
    ),
    Case("total", _total, {"x": _X}, {"y": _X.sum(axis=1, keepdims=True)}, 1024, {"y": [1]}),
    Case("scalar", _double(FLOAT, []), {"x": _floats(1)}, {"y": _floats(1)}, 0, {"x": [1]}),
    Case("string", _identity(STRING, [BATCH, 2]), {"x": _WORDS}, {"y": _WORDS}, 1024, {"x": [2]}),
    Case(
        "string-alone",
        _identity(STRING, [2]),
        {"x": _WORDS_ONCE},
        {"y": _WORDS_ONCE},
        0,
        {"x": [2]},
    ),
    Case(
        "sequence",
        _double(FLOAT, [BATCH, "seq", 3]),
        {"x": _SEQUENCE},
        {"y": _SEQUENCE * 2},
        32,
        {"x": [-1, 3]},
    ),
    Case(
        "empty-items",
        _double(FLOAT, [BATCH, "seq", 3]),
        {"x": _floats(2, 0, 3)},
        {"y": _floats(2, 0, 3)},
        32,
        {"x": [-1, 3]},
    ),
    Case("fixed", _double(FLOAT, [4, 3]), {"x": _X}, {"y": _X * 2}, 0, {"x": [4, 3]}),
    Case(
        "several",
        _several,
        {"left": _floats(3, 2), "right": np.ones((3, 2), np.int64)},
        {"sum": _floats(3, 2) + 1, "same": np.ones((3, 2), np.int64)},
        1024,
        {"left": [2], "right": [2], "sum": [2]},
    ),
    Case(
        "default-kept",
        _with_a_default,
        {"x": _X},
        {"y": _X * 2},
        0,
        {"x": [-1, 3], "scale": [1]},
        {"batching": {"max_batch_size": 0}},
    ),
    Case(
        "default-replaced",
        _with_a_default,
        {"x": _X, "scale": np.array([3], np.float32)},
        {"y": _X * 3},
        0,
        {"x": [-1, 3], "scale": [1]},
        {"batching": {"max_batch_size": 0}},
    ),
    Case("no-shape", _without_shapes, {"x": _X}, {"y": _X.sum(1, keepdims=True)}, 32, {"x": [-1]}),
    Case("default-when-joined", _with_a_default, {"x": _X}, {"y": _X * 2}, 1024, {"x": [3]}),
)
