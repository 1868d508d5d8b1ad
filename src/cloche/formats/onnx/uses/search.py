"""Arguments found by trying them on shape inference.

Where an argument passes through arithmetic on its way to an operator, no rule about the operator
tells it. But few arguments give the outputs the shapes that the model declares, so sizes of outputs
and axes are put in as constants, and shape inference says which of them do.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

from cloche.artifacts import ValueRange
from cloche.formats.onnx import graph as walk
from cloche.formats.onnx import shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import ModelProto

    from cloche.artifacts import TensorSpec
    from cloche.formats.onnx.uses.limits import Limits

    Values = tuple[float, ...]
    Shape = tuple[int, ...]

_MOST_NODES = 400
"""Arguments stand in small graphs or reach their operator directly."""
_MOST_TRIES = 64
_ARGUMENT = 8
"""The most elements of an argument."""


def settle(model: ModelProto, inputs: tuple[TensorSpec, ...], limits: Limits) -> Limits:
    """Return the limits with arguments that give the outputs their declared shapes."""
    declared = _declared(model)
    arguments = [
        spec
        for spec in inputs
        if _may_be_argument(spec)
        and (spec.name in limits.guessed or spec.name not in limits.ranges)
    ]
    if not arguments or not declared or len(model.graph.node) > _MOST_NODES:
        return limits
    rank = max(len(shape) for shape in [*declared.values(), *(spec.shape for spec in inputs)])
    proposals = [_proposals(spec, declared, rank) for spec in arguments]
    for chosen in islice(product(*proposals), _MOST_TRIES):
        values = {spec.name: each for spec, each in zip(arguments, chosen, strict=True)}
        if _gives(model, arguments, values, declared):
            return _with(limits, values, "the outputs then have their declared shapes")
    likely = {
        spec.name: proposed[0]
        for spec, proposed in zip(arguments, proposals, strict=True)
        if spec.name in limits.guessed and len(proposed[0]) == 1
    }
    return _with(limits, likely, "the first size of an output")


def _with(limits: Limits, values: Mapping[str, Values], why: str) -> Limits:
    exact = {name: ValueRange(None, None, False, why, each) for name, each in values.items()}
    return replace(limits, ranges={**limits.ranges, **exact})


def _declared(model: ModelProto) -> dict[str, Shape]:
    found = {}
    for value in model.graph.output:
        shape, _ = walk.dimensions(value)
        if shape is not None and min(shape, default=0) >= 0:
            found[value.name] = shape
    return found


def _may_be_argument(spec: TensorSpec) -> bool:
    whole = spec.datatype in {"INT32", "INT64"}
    known = min(spec.shape, default=0) >= 0
    return whole and known and len(spec.shape) < 2 and 0 < math.prod(spec.shape) <= _ARGUMENT


def _proposals(spec: TensorSpec, declared: Mapping[str, Shape], rank: int) -> list[Values]:
    """Return what an argument may hold, the likeliest first; axes are those of `rank`."""
    count = math.prod(spec.shape)
    made = [each for shape in declared.values() for each in _about(shape, count)]
    axes = combinations(map(float, range(rank)), count)
    return list(dict.fromkeys([*made, *axes])) or [(0.0,) * count]


def _about(shape: Shape, count: int) -> Iterator[Values]:
    """Yield sizes of a shape, and its sizes with one of them replaced by 1."""
    sizes = tuple(float(size) for size in shape)
    if len(sizes) >= count:
        yield sizes[:count]
        yield sizes[-count:]
    if count == 1:
        yield from ((size,) for size in sizes)
        return
    for kept in combinations(sizes, count - 1):
        for place in range(count):
            yield (*kept[:place], 1.0, *kept[place:])


def _gives(
    model: ModelProto,
    arguments: list[TensorSpec],
    values: Mapping[str, Values],
    declared: Mapping[str, Shape],
) -> bool:
    """Return whether every declared output is inferred to have its shape."""
    from onnx import ModelProto, helper

    tried = ModelProto()
    tried.CopyFrom(model)
    del tried.graph.value_info[:]
    kept = [value for value in tried.graph.input if value.name not in values]
    types = {value.name: value.type.tensor_type.elem_type for value in tried.graph.input}
    del tried.graph.input[:]
    tried.graph.input.extend(kept)
    for spec in arguments:
        whole = [int(each) for each in values[spec.name]]
        tensor = helper.make_tensor(spec.name, types[spec.name], spec.shape, whole)
        tried.graph.initializer.append(tensor)
    for value in tried.graph.output:
        value.type.tensor_type.ClearField("shape")
    outputs = shapes.infer_whole(tried).graph.output
    inferred = {value.name: walk.dimensions(value)[0] for value in outputs}
    return all(inferred.get(name) == shape for name, shape in declared.items())
