"""Inputs that declare no shape at all.

ONNX Runtime takes any number of axes for them. Triton's configuration has one number of axes, and
its ONNX Runtime backend takes such an input for a scalar (CompareDimsSupported in its
onnxruntime_utils.cc). So the file that is served declares axes of any size: as many as `inputs:` in
cloche.yaml says, else as the operators that take the input ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.formats.onnx import graph as walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from onnx import ModelProto, NodeProto, ValueInfoProto

    from cloche.artifacts import TensorSpec

_FIXED = {
    "Gemm": 2, "LSTM": 3, "GRU": 3, "RNN": 3, "DepthToSpace": 4, "SpaceToDepth": 4, "LRN": 4,
}  # fmt: skip
"""The axes of the first input of an operator, by the operators' specification."""
_BY_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Where operators have the weights whose number of axes is that of their first input."""
_BY_KERNEL = frozenset({"MaxPool", "AveragePool", "LpPool"})


def declare(model: ModelProto, asked: Iterable[TensorSpec]) -> dict[str, str]:
    """Give inputs without a shape one in place; return why, by input."""
    by_name = {spec.name: spec for spec in asked}
    reasons = {}
    for value in walk.inputs(model.graph):
        if walk.dimensions(value)[0] is not None:
            continue
        spec = by_name.get(value.name)
        if spec is not None:
            _set(value, spec.shape, spec.labels)
            reasons[value.name] = "`inputs:` in cloche.yaml"
            continue
        axes, operator = _of_use(value.name, model)
        if axes is not None:
            _set(value, (-1,) * axes, ())
            reasons[value.name] = f"{operator}, which takes {axes} axes"
    return reasons


def findings(reasons: Mapping[str, str]) -> list[Finding]:
    """Return the notes about inputs that were given a number of axes."""
    return [
        Finding(
            Severity.NOTE,
            "inspection.onnx.unshaped",
            f"The input {name} declares no shape, which Triton's configuration needs: the file "
            f"that is served declares it as told by {why}.",
        )
        for name, why in reasons.items()
    ]


def _set(value: ValueInfoProto, shape: tuple[int, ...], labels: tuple[str | None, ...]) -> None:
    described = value.type.tensor_type.shape
    described.SetInParent()
    for axis, size in enumerate(shape):
        dimension = described.dim.add()
        label = labels[axis] if axis < len(labels) else None
        if size >= 0:
            dimension.dim_value = size
        else:
            dimension.dim_param = label or f"{value.name}_dim_{axis}"


def _of_use(name: str, model: ModelProto) -> tuple[int | None, str]:
    """Return the axes that an operator wants of an input, and which operator it is."""
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.input and node.input[0] == name:
            axes = _wanted(node, ranks)
            if axes is not None:
                return axes, node.op_type
    return None, ""


def _wanted(node: NodeProto, ranks: Mapping[str, int]) -> int | None:
    if node.op_type in _FIXED:
        return _FIXED[node.op_type]
    place = _BY_WEIGHTS.get(node.op_type)
    if place is not None and place < len(node.input):
        return ranks.get(node.input[place])
    if node.op_type in _BY_KERNEL:
        sizes = next((each.ints for each in node.attribute if each.name == "kernel_shape"), ())
        return len(sizes) + 2
    return None
