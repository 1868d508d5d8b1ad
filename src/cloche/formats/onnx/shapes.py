"""Shape inference over an ONNX graph without its weights.

Inference needs the dimensions of weights and the values of small integer tensors (the targets of
Reshape, Slice …), never the weights themselves. So weights are stripped first, and a model of
gigabytes costs no more than its graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.formats.onnx import graph as walk

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


_NODE = "(op_type:"
"""With what onnx begins each node that it complains of."""
_UNTYPED = "expected to have type but instead is null"
"""What it says of a node behind one that it infers nothing of: no contradiction."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """Inferred shapes of the main graph's values, by name."""

    values: dict[str, tuple[int, ...]]
    bits: dict[str, int]
    """Bits of one element, by name."""
    trouble: str | None = None
    """Why the shapes contradict each other, if they do."""


def strip_weights(model: ModelProto) -> None:
    """Drop the data of large tensors, in place; dimensions and types stay."""
    from onnx import TensorProto

    for tensor in walk.tensors(model):
        if walk.size_of(tensor) <= walk.SMALL:
            continue
        for data in ("raw_data", "float_data", "int32_data", "int64_data", "double_data",
                     "uint64_data", "string_data"):  # fmt: skip
            tensor.ClearField(data)
        # Inference treats a tensor with external data as one of unknown values.
        tensor.data_location = TensorProto.EXTERNAL


def infer(model: ModelProto, *, first: int | None = None, dynamic: int | None = None) -> Inferred:
    """Infer the shapes of a stripped model, with some of its inputs' dynamic axes made concrete.

    `first` replaces a dynamic first axis of every input, `dynamic` every other dynamic axis; None
    leaves them dynamic.
    """
    from onnx import ModelProto

    concrete = ModelProto()
    concrete.CopyFrom(model)
    for value in walk.inputs(concrete.graph):
        _make_concrete(value, first, dynamic)
    if first is not None or dynamic is not None:
        # Shapes that the exporter wrote for the general case would contradict the concrete ones.
        del concrete.graph.value_info[:]
        for value in concrete.graph.output:
            if value.type.HasField("tensor_type"):
                _forget_dynamic(value)
    return _run(concrete)


def infer_whole(model: ModelProto) -> ModelProto:
    """Return the model with the shapes that can be inferred, in the graphs inside it too."""
    return _infer_types(model, strict=False)


def complete_outputs(model: ModelProto) -> None:
    """Set inferred types and shapes on outputs that have none, in place."""
    from onnx import ModelProto

    missing = [value for value in model.graph.output if walk.dimensions(value)[0] is None]
    if not missing:
        return
    whole = ModelProto()
    whole.CopyFrom(model)
    inferred = {value.name: value for value in _infer_types(whole, strict=False).graph.output}
    for value in missing:
        value.CopyFrom(inferred[value.name])


def _run(model: ModelProto) -> Inferred:
    from onnx import shape_inference

    try:
        return _collect(_infer_types(model, strict=True), None)
    except (shape_inference.InferenceError, ValueError) as error:
        said = " ".join(str(error).split())
        trouble = None if said.count(_NODE) == said.count(_UNTYPED) else said[:300]
    return _collect(_infer_types(model, strict=False), trouble)


def _infer_types(model: ModelProto, *, strict: bool) -> ModelProto:
    """Return the model with inferred types; without `strict` a failure adds none."""
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(model, strict_mode=strict, data_prop=True)
    except (shape_inference.InferenceError, ValueError):
        if strict:
            raise
        return model


def _make_concrete(value: ValueInfoProto, first: int | None, dynamic: int | None) -> None:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return
    for index, dimension in enumerate(value.type.tensor_type.shape.dim):
        size = first if index == 0 else dynamic
        if size is not None and dimension.WhichOneof("value") != "dim_value":
            dimension.dim_value = size


def _forget_dynamic(value: ValueInfoProto) -> None:
    for dimension in value.type.tensor_type.shape.dim:
        if dimension.WhichOneof("value") == "dim_param":
            dimension.ClearField("dim_param")


def _collect(model: ModelProto, trouble: str | None) -> Inferred:
    values: dict[str, tuple[int, ...]] = {}
    bits: dict[str, int] = {}
    graph = model.graph
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shape, _ = walk.dimensions(value)
        if shape is not None:
            values[value.name] = shape
            bits[value.name] = walk.ELEMENT_BITS.get(value.type.tensor_type.elem_type, 32)
    return Inferred(values, bits, trouble)


def weights(model: ModelProto) -> int:
    """Return the bytes of all tensors that the model holds, by type and dimensions."""
    return sum(walk.size_of(tensor) for tensor in walk.tensors(model))


def peak_activations(model: ModelProto, inferred: Inferred) -> int | None:
    """Return the most bytes of values alive at once when nodes run in order.

    None if inference finds the sizes of fewer than half of the values.
    """
    graph = model.graph
    last: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        last.update(dict.fromkeys(node.input, index))
    last.update((value.name, len(graph.node)) for value in graph.output)
    sizes = {name: _bytes(shape, inferred.bits[name]) for name, shape in inferred.values.items()}
    produced = [name for node in graph.node for name in node.output if name]
    known = sum(1 for name in produced if sizes.get(name) is not None)
    if produced and known < len(produced) / 2:
        return None
    given = [value.name for value in walk.inputs(graph)]
    activations = {*given, *produced}
    alive = sum(sizes.get(name) or 0 for name in given)
    peak = alive
    for index, node in enumerate(graph.node):
        alive += sum(sizes.get(name) or 0 for name in node.output if name in last)
        peak = max(peak, alive)
        ended = {name for name in node.input if last.get(name) == index} & activations
        alive -= sum(sizes.get(name) or 0 for name in ended)
    return peak


def _bytes(shape: tuple[int, ...], bits: int) -> int | None:
    elements = 1
    for size in shape:
        if size < 0:
            return None
        elements *= size
    return (elements * bits + 7) // 8
