"""Walking an ONNX model: its nodes, tensors and types, in subgraphs and functions too."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES, TensorSpec
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

CARRIED = {
    datatype.onnx: datatype.name for datatype in DATATYPES.values() if datatype.name != "BF16"
}
"""Triton's name of each TensorProto.DataType that inputs and outputs may have.

BF16 is absent: numpy has no such array, so no answer of such a model could be verified.
"""

ELEMENT_BITS = {
    14: 64, 15: 128, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
    **{datatype.onnx: 8 * (datatype.size or 16) for datatype in DATATYPES.values()},
}  # fmt: skip
"""Bits of one element in memory, by TensorProto.DataType; a string counts as its two words.

The numbers are types of ONNX alone: complex numbers, and floats and integers of 8 bits or less.
"""


_OVERRIDABLE_FROM = 4
"""IR version."""


def standard(domain: str) -> str:
    """Return the name of an operator domain; empty means `ai.onnx`."""
    return domain or "ai.onnx"


def graphs(model: ModelProto) -> Iterator[GraphProto]:
    """Yield the main graph and every graph inside its nodes and the model's functions."""
    yield model.graph
    yield from _inner(model.graph.node)
    for function in model.functions:
        yield from _inner(function.node)


def _inner(nodes: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            inside = [attribute.g] if attribute.HasField("g") else []
            for graph in [*inside, *attribute.graphs]:
                yield graph
                yield from _inner(graph.node)


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Yield every node, those of functions once per function."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor that holds data: initialisers and constants in nodes."""
    for graph in graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


SMALL = 4096
"""Largest tensor whose values are read, in bytes: shapes, axes and scales are smaller, and so are
the numbers from 0 to 255 that a one-hot encoding compares with."""


def constants(graph: GraphProto) -> dict[str, NDArray[Any]]:
    """Return the values of a graph's small initialisers and constants, by name."""
    import numpy as np
    from onnx import helper

    found = {tensor.name: _values(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        for attribute in node.attribute:
            if attribute.name == "value":
                found[node.output[0]] = _values(attribute.t)
            elif attribute.name in {"value_int", "value_ints", "value_float", "value_floats"}:
                found[node.output[0]] = np.asarray(helper.get_attribute_value(attribute))
    return {name: array for name, array in found.items() if array is not None}


def _values(tensor: TensorProto) -> NDArray[Any] | None:
    """Return a small tensor's values, None if it is large, elsewhere or of a type of its own."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or size_of(tensor) > SMALL:
        return None
    try:
        return numpy_helper.to_array(tensor)
    except (TypeError, ValueError):
        return None


def unfolded(model: ModelProto) -> ModelProto:
    """Return the model with the bodies of its functions in place of their calls."""
    if not model.functions:
        return model
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception:  # noqa: BLE001 - a model that cannot be unfolded is read as it is
        return model


def count_operators(model: ModelProto) -> dict[str, int]:
    """Return how often each operator occurs, by `Domain.Name`, without calls of functions."""
    functions = {(function.domain, function.name) for function in model.functions}
    counts = Counter(
        f"{standard(node.domain)}.{node.op_type}"
        for node in nodes(model)
        if (node.domain, node.op_type) not in functions
    )
    return dict(sorted(counts.items()))


def size_of(tensor: TensorProto) -> int:
    """Return the bytes of a tensor in memory, from its type and dimensions alone."""
    elements = 1
    for dimension in tensor.dims:
        elements *= dimension
    return (elements * ELEMENT_BITS.get(tensor.data_type, 32) + 7) // 8


def inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """Return the inputs that a caller must send: those without an initialiser."""
    given = _initialised(graph)
    return [value for value in graph.input if value.name not in given]


def overridable(model: ModelProto) -> list[ValueInfoProto]:
    """Return the inputs that a caller may send: those with an initialiser, which is their default.

    Before IR version 4 every initialiser had to be an input too, and none could be overridden
    (https://github.com/onnx/onnx/blob/main/docs/IR.md).
    """
    if model.ir_version < _OVERRIDABLE_FROM:
        return []
    given = _initialised(model.graph)
    return [value for value in model.graph.input if value.name in given]


def _initialised(graph: GraphProto) -> set[str]:
    given = {tensor.name for tensor in graph.initializer}
    return given | {tensor.values.name for tensor in graph.sparse_initializer}


def specs(
    values: Iterable[ValueInfoProto],
    direction: str,
    model: ModelProto,
    where: str,
    *,
    optional: bool = False,
) -> tuple[TensorSpec, ...]:
    """Return inputs or outputs as tensors; raises one error for all that are not.

    `where` is the file as the user knows it.
    """
    accepted, refused = [], []
    for value in values:
        kind = _unsupported(value.type)
        if kind:
            refused.append(f"{value.name} is {kind}")
        else:
            accepted.append(_spec(value, optional=optional))
    if refused:
        raise ClocheError(
            "inspection.onnx.type",
            f"{PurePath(where).name} has an {direction} that cannot be served: "
            f"{'; '.join(refused)}.",
            where=where,
            hint=_other_type(model, " ".join(refused)),
        )
    return tuple(accepted)


def _other_type(model: ModelProto, refused: str) -> str:
    """Return how to export the model so that its inputs and outputs can be served."""
    if any(node.op_type == "ZipMap" for node in model.graph.node):
        return (
            "Export it again with zipmap=False, so that probabilities come as one tensor: "
            "skl2onnx.to_onnx(model, X, options={'zipmap': False})."
        )
    if "BFLOAT16" in refused:
        return (
            "Export it with inputs and outputs of float32 or float16; a Cast behind each input and "
            "before each output keeps BFLOAT16 inside."
        )
    kinds = ", ".join(CARRIED.values())
    return f"Export it again with plain tensors of a type that can be served: {kinds}."


def _unsupported(kind: TypeProto) -> str | None:
    """Return what a type is if Triton cannot carry it, else None."""
    from onnx import TensorProto

    which = kind.WhichOneof("value")
    if which == "tensor_type":
        element = kind.tensor_type.elem_type
        if element in CARRIED:
            return None
        return f"a tensor of {TensorProto.DataType.Name(element)}"
    if which == "sequence_type":
        inner = kind.sequence_type.elem_type.WhichOneof("value")
        return "a sequence of maps" if inner == "map_type" else "a sequence of tensors"
    names = {
        "map_type": "a map", "optional_type": "an optional value",
        "sparse_tensor_type": "a sparse tensor", None: "of no declared type",
    }  # fmt: skip
    return names.get(which, f"of the type {which}")


def _spec(value: ValueInfoProto, *, optional: bool) -> TensorSpec:
    shape, labels = dimensions(value)
    datatype = CARRIED[value.type.tensor_type.elem_type]
    return TensorSpec(value.name, datatype, shape or (), labels if shape else (), optional)


def dimensions(
    value: ValueInfoProto,
) -> tuple[tuple[int, ...] | None, tuple[str | None, ...]]:
    """Return a tensor's shape (-1: dynamic; None: not declared) and its labels."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None, ()
    shape, labels = [], []
    for dimension in tensor.shape.dim:
        fixed = dimension.WhichOneof("value") == "dim_value" and dimension.dim_value >= 0
        shape.append(dimension.dim_value if fixed else -1)
        labels.append(None if fixed else dimension.dim_param or None)
    return tuple(shape), tuple(labels)
