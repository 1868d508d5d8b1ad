"""Sizes of dynamic axes that the graph asks for.

Every dynamic axis gets a size, and shape inference finds what follows. Where an operator then has
two sizes that must be equal, and one of them is an axis of an input as it is, the axis gets the
other's size, until nothing contradicts. So a number of features is that of the weights, and a mask
is as long as the past and the new tokens together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.onnx import graph as walk
from cloche.formats.onnx import shapes
from cloche.formats.onnx.uses.agreement import BROADCASTING, equal_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto, ValueInfoProto

    from cloche.artifacts import TensorSpec

Named = tuple[int | str | None, ...]
"""A shape whose dynamic axes have names where they are known."""

SIZE = 4
"""What a dynamic axis has at first; the first made requests have it too."""
_ROUNDS = 8
_LARGEST_GRAPH = 20_000
"""Nodes of a graph that is inferred again and again; a larger one takes seconds each time."""


def solve(model: ModelProto, inputs: tuple[TensorSpec, ...]) -> dict[str, int]:
    """Return the sizes that differ from SIZE, by the name of the axis; `{}` if all may be it."""
    names: dict[str, Named] = {
        spec.name: tuple(
            spec.axis(index) if size < 0 else size for index, size in enumerate(spec.shape)
        )
        for spec in inputs
    }
    free = {name for shape in names.values() for name in shape if isinstance(name, str)}
    if not free or len(model.graph.node) > _LARGEST_GRAPH:
        return {}
    named = _infer(model, names)
    found: dict[str, int] = {}
    for _ in range(_ROUNDS):
        sized = _infer(model, _sized(names, found))
        wrong = _contradiction(model, named, sized, free)
        if wrong is None:
            # What still contradicts was no matter of size: then none is better than another.
            settled = _contradiction(model, named, sized, set(found)) is None
            return {name: size for name, size in found.items() if settled and size != SIZE}
        name, size = wrong
        found[name] = size
        free.discard(name)
    return {}


def _sized(names: Mapping[str, Named], found: Mapping[str, int]) -> dict[str, Named]:
    return {
        name: tuple(found.get(size, SIZE) if isinstance(size, str) else size for size in shape)
        for name, shape in names.items()
    }


def _infer(model: ModelProto, given: Mapping[str, Named]) -> dict[str, Named]:
    """Return the shapes of all values, with names where an input's axis is passed on."""
    from onnx import ModelProto

    asked = ModelProto()
    asked.CopyFrom(model)
    del asked.graph.value_info[:]
    for value in asked.graph.input:
        _write(value, given.get(value.name, ()))
    for value in asked.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = shapes.infer_whole(asked).graph
    known: dict[str, Named] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shape, labels = walk.dimensions(value)
        if shape is not None:
            known[value.name] = tuple(
                size if size >= 0 else label for size, label in zip(shape, labels, strict=True)
            )
    return known


def _write(value: ValueInfoProto, shape: Named) -> None:
    for dimension, size in zip(value.type.tensor_type.shape.dim, shape, strict=False):
        if isinstance(size, str):
            dimension.dim_param = size
        elif size is not None:
            dimension.dim_value = size


def _contradiction(
    model: ModelProto, named: Mapping[str, Named], sized: Mapping[str, Named], free: set[str]
) -> tuple[str, int] | None:
    """Return which free axis must have which size for the first operator that it stops."""
    for node in model.graph.node:
        ranks = {
            place: len(named[name])
            for place, name in enumerate(node.input)
            if name in named and len(named[name]) == len(sized.get(name, ()))
        }
        for pair in equal_axes(node, ranks):
            for (place, axis), (other, there) in (pair, pair[::-1]):
                name = named[node.input[place]][axis]
                size = sized[node.input[place]][axis]
                wanted = sized[node.input[other]][there]
                if name not in free or not isinstance(size, int) or not isinstance(wanted, int):
                    continue
                spread = node.op_type in BROADCASTING and 1 in {size, wanted}
                if size != wanted and wanted > 0 and not spread:
                    return str(name), wanted
    return None
