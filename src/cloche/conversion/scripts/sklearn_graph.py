"""Puts a converted estimator between the inputs and outputs that clients see.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from interface import Interface, Tensor
from onnx import TensorProto, helper
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)

if TYPE_CHECKING:
    from onnx_guards import Guarded

ELEMENTS = {
    "BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32, "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16, "INT32": TensorProto.INT32, "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16, "FP32": TensorProto.FLOAT, "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}  # fmt: skip
_TYPES = {
    "BYTES": StringTensorType, "INT64": Int64TensorType, "FP32": FloatTensorType,
    "FP64": DoubleTensorType, "BOOL": BooleanTensorType,
}  # fmt: skip
_OUTPUTS = {"predict": 0, "predict_proba": 1, "decision_function": 1, "booster": 1}
"""Which output of a converted classifier is a method's."""


class Given:
    """What a converted estimator takes, in place of what clients send."""

    def __init__(
        self, inputs: list[Tensor], precision: str, whole: set[str], *, joined: bool
    ) -> None:
        """Take the inputs of clients, the datatype of numbers inside, and whether they are joined.

        `whole` are the inputs with categories, which stay whole numbers.
        """
        self.inputs, self.precision, self.joined = inputs, precision, joined
        self._whole = whole

    def datatype(self, tensor: Tensor) -> str:
        """Return the datatype inside of what clients send in an input."""
        if tensor.datatype == "BYTES":
            return "BYTES"
        if tensor.datatype.startswith("FP") or self.joined or tensor.name not in self._whole:
            return self.precision
        return "BOOL" if tensor.datatype == "BOOL" else "INT64"

    def types(self) -> list[Any]:
        """Return names and types as skl2onnx wants them."""
        if self.joined:
            width = sum(tensor.shape[1] for tensor in self.inputs)
            return [("joined", _TYPES[self.precision]([None, width]))]
        return [
            (tensor.name, _TYPES[self.datatype(tensor)]([None, *tensor.shape[1:]]))
            for tensor in self.inputs
        ]


def assemble(
    model: Any, given: Given, found: Interface, methods: list[str], guards: Guarded
) -> Any:
    """Return a model with the inputs and outputs of an interface around a converted one."""
    prefixed = _prefixed(model, "inner/")
    graph = prefixed.graph
    _put_inputs(given, graph, guards)
    chosen = _chosen(graph, methods, len(found.outputs))
    for tensor, value in zip(found.outputs, chosen):  # noqa: B905 - Python 3.8
        _put_output(tensor, value, guards, second=_is_second(methods, graph))
    nodes = [node for node in guards.nodes if not node.name.startswith("after/")]
    after = [node for node in guards.nodes if node.name.startswith("after/")]
    made = helper.make_graph(
        [*nodes, *graph.node, *after],
        "model",
        [_value(tensor) for tensor in found.inputs],
        [_value(tensor) for tensor in found.outputs],
        [*graph.initializer, *guards.initializers],
    )
    opsets = [each for each in prefixed.opset_import if each.domain not in {"", "ai.onnx.ml"}]
    opsets += [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="cloche")


def _prefixed(model: Any, prefix: str) -> Any:
    from onnx import compose

    return compose.add_prefix(model, prefix)


def _value(tensor: Tensor) -> Any:
    shape: list[Any] = [
        tensor.labels.get(axis, f"axis_{axis}") if size < 0 else size
        for axis, size in enumerate(tensor.shape)
    ]
    return helper.make_tensor_value_info(tensor.name, ELEMENTS[tensor.datatype], shape)


def _put_inputs(given: Given, graph: Any, guards: Guarded) -> None:
    """Add the nodes from what clients send to what the graph takes."""
    # A converter writes the names of columns in another way; their order stays.
    parts = ["joined/" + tensor.name for tensor in given.inputs]
    parts = parts if given.joined else [value.name for value in graph.input]
    for tensor, name in zip(given.inputs, parts):  # noqa: B905 - Python 3.8
        datatype = given.datatype(tensor)
        if tensor.datatype == datatype:
            guards.node("Identity", [tensor.name], name)
        else:
            guards.node("Cast", [tensor.name], name, to=ELEMENTS[datatype])
    if given.joined:
        guards.node("Concat", parts, graph.input[0].name, axis=1)


def _chosen(graph: Any, methods: list[str], wanted: int) -> list[Any]:
    """Return the graph's outputs for the methods, in order."""
    outputs = list(graph.output)
    if len(outputs) == wanted and len(methods) == wanted:
        return outputs
    if len(methods) == 1 and len(outputs) == 2:
        return [outputs[_OUTPUTS.get(methods[0], 0)]]
    if len(outputs) != wanted:
        raise ValueError(f"the converter gives {len(outputs)} outputs, the model {wanted}")
    return outputs


def _is_second(methods: list[str], graph: Any) -> bool:
    return methods == ["booster"] and len(graph.output) == 2


def _put_output(tensor: Tensor, value: Any, guards: Guarded, *, second: bool) -> None:
    """Add the nodes from an output of the graph to what clients get."""
    name, last = value.name, "after/" + tensor.name
    rank = len(value.type.tensor_type.shape.dim)
    element, wanted = value.type.tensor_type.elem_type, ELEMENTS[tensor.datatype]
    if element != wanted and TensorProto.STRING in {element, wanted}:
        raise ValueError(f"the converter gives another type for {tensor.name}")
    name = guards.tie(name, f"{last}/guarded", rank=rank)
    if rank == 2 and len(tensor.shape) == 1 and second:
        # A booster alone answers how likely the second of two classes is.
        place = guards.constant(f"{last}/second", np.int64(1))
        name, rank = guards.node("Gather", [name, place], f"{last}/one", axis=1), 1
    if wanted != TensorProto.STRING:
        # Converters do not always give the type that they declare.
        name = guards.node("Cast", [name], f"{last}/cast", to=wanted)
    if rank == len(tensor.shape):
        guards.node("Identity", [name], tensor.name, name=f"{last}/out")
        return
    kind = "Squeeze" if rank > len(tensor.shape) else "Unsqueeze"
    axis = guards.constant(f"{last}/axis", np.ones(1, np.int64))
    guards.node(kind, [name, axis], tensor.name, name=f"{last}/out")
