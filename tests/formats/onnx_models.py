"""Small ONNX models for the tests of inspection."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model(
    nodes: list[Any],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    initializers: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 20,
    **more: Any,
) -> ModelProto:
    """Make a model; a tensor is its shape, or (element type, shape)."""
    domains = {node.domain for node in nodes} - {""}
    graph = helper.make_graph(
        nodes,
        "graph",
        [_value(name, given) for name, given in inputs.items()],
        [_value(name, given) for name, given in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (initializers or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in sorted(domains))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


def _value(name: str, given: Any) -> Any:
    if not isinstance(given, tuple):
        given = (FLOAT, given)
    if not isinstance(given[0], int):
        return helper.make_value_info(name, given[0])
    return helper.make_tensor_value_info(name, *given)


def node(operator: str, inputs: str, outputs: str, **more: Any) -> Any:
    """Make a node from space-separated names."""
    return helper.make_node(operator, inputs.split(), outputs.split(), **more)


def mlp(first: Any = "batch", out: Any = "same", **more: Any) -> ModelProto:
    """Make x[first, 64] → y[out, 10]."""
    weights = {"w": np.ones((64, 10), "f4")}
    last = first if out == "same" else out
    return model(
        [node("MatMul", "x w", "y")], {"x": [first, 64]}, {"y": [last, 10]}, weights, **more
    )
