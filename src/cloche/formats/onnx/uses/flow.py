"""Which values in a graph are an input's own, as it is or in part.

Names are unique in a graph and all graphs inside it (the SSA rule of ONNX's IR), so one table holds
the values of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.formats.onnx import graph as walk
from cloche.formats.onnx import shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto

    from cloche.artifacts import TensorSpec

_SAME = frozenset({
    "Identity", "Cast", "CastLike", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout",
})  # fmt: skip
"""Operators whose first output has the elements of their first input, in order."""
_AMONG = frozenset({
    "Transpose", "Expand", "Tile", "Slice", "Split", "Gather", "GatherElements", "GatherND", "Pad",
    "DepthToSpace", "SpaceToDepth", "ReverseSequence", "TopK", "Unique", "Compress", "Round",
    "Floor", "Ceil",
})  # fmt: skip
"""Operators whose first output has elements of their first input only."""
_JOINED = frozenset({"Concat", "Max", "Min", "SequenceConstruct"})
"""Operators whose output has elements of every input."""


@dataclass(frozen=True, slots=True)
class Carried:
    """An input whose elements a value has: all of them in their order if `whole`."""

    input: str
    whole: bool


@dataclass(slots=True)
class Flow:
    """A graph with what is known of its values, by name."""

    nodes: list[NodeProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """-1 is a size that differs by request."""
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    carried: dict[str, tuple[Carried, ...]] = field(default_factory=dict)
    datatypes: dict[str, str] = field(default_factory=dict)
    """Triton's name of each input's datatype."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return a value's shape, None if its rank is unknown."""
        return self.shapes.get(name)

    def whole(self, name: str) -> bool:
        """Return whether a value is one input as it is."""
        carried = self.carried.get(name, ())
        return len(carried) == 1 and carried[0].whole


def follow(model: ModelProto, inputs: tuple[TensorSpec, ...]) -> Flow:
    """Return the graph of a stripped model, its functions unfolded, with its inputs followed."""
    flow = Flow(datatypes={spec.name: spec.datatype for spec in inputs})
    flow.carried = {spec.name: (Carried(spec.name, whole=True),) for spec in inputs}
    _follow(shapes.infer_whole(walk.unfolded(model)).graph, flow)
    return flow


def _follow(graph: GraphProto, flow: Flow) -> None:
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shape, _ = walk.dimensions(value)
        if shape is not None:
            flow.shapes.setdefault(value.name, shape)
    for tensor in graph.initializer:
        flow.shapes[tensor.name] = tuple(tensor.dims)
    flow.constants.update(walk.constants(graph))
    for node in graph.node:
        _enter(node, flow)
        for name, carried in _passes(node, flow):
            flow.carried[name] = carried
        flow.nodes.append(node)


def _enter(node: NodeProto, flow: Flow) -> None:
    """Follow the graphs inside a node; a loop's or scan's body names its inputs anew."""
    for inner in _graphs(node):
        skipped = 1 if node.op_type == "Loop" else 0
        for value, given in zip(inner.input[skipped:], node.input[skipped:], strict=False):
            for carried in flow.carried.get(given, ()):
                flow.carried[value.name] = (Carried(carried.input, whole=False),)
        _follow(inner, flow)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _passes(node: NodeProto, flow: Flow) -> Iterable[tuple[str, tuple[Carried, ...]]]:
    """Yield which outputs of a node carry which inputs of the model."""
    first = flow.carried.get(node.input[0], ()) if node.input else ()
    if node.op_type in _SAME and first:
        yield node.output[0], first
    elif node.op_type in _AMONG and first:
        among = tuple(Carried(carried.input, whole=False) for carried in first)
        for name in node.output if node.op_type == "Split" else node.output[:1]:
            yield name, among
    elif node.op_type in _JOINED:
        given = [carried for name in node.input for carried in flow.carried.get(name, ())]
        if given:
            alone = len(node.input) == 1
            joined = (Carried(each.input, whole=alone and each.whole) for each in given)
            yield node.output[0], tuple(dict.fromkeys(joined))
