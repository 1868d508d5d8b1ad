"""Operators that take an input as indices or lengths: rows of a table, ends of sequences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cloche.artifacts import ValueRange
from cloche.formats.onnx.uses.nodes import attribute, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow

    Rule = Callable[[NodeProto, Flow], int | None]
"""Returns how many there are to choose from, None if only a request tells."""


def _size(of: int, axis: int) -> Rule:
    def count(node: NodeProto, flow: Flow) -> int | None:
        return _dimension(node, flow, of, axis)

    return count


def _along_axis(of: int, default: int = 0) -> Rule:
    def count(node: NodeProto, flow: Flow) -> int | None:
        return _dimension(node, flow, of, attribute(node, "axis", default))

    return count


def _dimension(node: NodeProto, flow: Flow, of: int, axis: int) -> int | None:
    shape = flow.shape(node.input[of]) if len(node.input) > of else None
    if shape is None or not -len(shape) <= axis < len(shape) or shape[axis] < 0:
        return None
    return shape[axis]


def _leading(node: NodeProto, flow: Flow) -> int | None:
    """Return the least of the sizes that tuples of indices refer to (GatherND, ScatterND)."""
    data, tuples = flow.shape(node.input[0]), flow.shape(node.input[1])
    if not data or not tuples or tuples[-1] < 1:
        return None
    skipped = attribute(node, "batch_dims", 0)
    sizes = data[skipped : skipped + tuples[-1]]
    return min(sizes) if sizes and min(sizes) >= 0 else None


def _depth(node: NodeProto, flow: Flow) -> int | None:
    depth = number(flow, node.input[1])
    if depth is not None:
        return int(depth)
    answer = flow.shape(node.output[0])
    axis = attribute(node, "axis", -1)
    return answer[axis] if answer and answer[axis] >= 0 else None


def _elements(node: NodeProto, flow: Flow) -> int | None:
    shape = flow.shape(node.input[0])
    return math.prod(shape[2:]) if shape and min(shape) >= 0 else None


def _written(node: NodeProto, flow: Flow) -> int | None:
    """Return where an update may start in a cache (TensorScatter)."""
    axis = attribute(node, "axis", -2)
    cache, update = _dimension(node, flow, 0, axis), _dimension(node, flow, 1, axis)
    return None if cache is None or update is None else cache - update + 1


def _time(node: NodeProto, flow: Flow) -> int | None:
    layout = attribute(node, "layout", 0)
    return _dimension(node, flow, 0, 1 if layout else 0)


def _sequence(node: NodeProto, flow: Flow) -> int | None:
    return _dimension(node, flow, 0, attribute(node, "time_axis", 0))


_INDICES: dict[tuple[str, int], Rule] = {
    ("Gather", 1): _along_axis(0),
    ("GatherElements", 1): _along_axis(0),
    ("Scatter", 1): _along_axis(0),
    ("ScatterElements", 1): _along_axis(0),
    ("GatherND", 1): _leading,
    ("ScatterND", 1): _leading,
    ("OneHot", 0): _depth,
    ("ArrayFeatureExtractor", 1): _size(0, -1),
    ("NegativeLogLikelihoodLoss", 1): _size(0, 1),
    ("SoftmaxCrossEntropyLoss", 1): _size(0, 1),
    ("RoiAlign", 2): _size(0, 0),
    ("MaxUnpool", 1): _elements,
    ("TensorScatter", 2): _written,
    ("RotaryEmbedding", 3): _size(1, 0),
    ("GatherBlockQuantized", 1): _along_axis(0),
    ("EmbedLayerNormalization", 0): _size(2, 0),
    ("EmbedLayerNormalization", 1): _size(4, 0),
    ("TfIdfVectorizer", 0): lambda _node, _flow: 8,
    ("CumSum", 1): lambda _node, _flow: 1,
    ("CumProd", 1): lambda _node, _flow: 1,
    ("SequenceAt", 1): lambda _node, _flow: 1,
}
"""By operator and position: how many there are to choose from, from 0 on."""
_LENGTHS: dict[tuple[str, int], Rule] = {
    ("LSTM", 4): _time,
    ("GRU", 4): _time,
    ("RNN", 4): _time,
    ("ReverseSequence", 1): _sequence,
    ("Attention", 6): _size(1, -2),
    ("TopK", 1): _along_axis(0, -1),
}
"""By operator and position: the greatest length, from 1 on."""


def limit(node: NodeProto, position: int, flow: Flow) -> ValueRange | None:
    """Return the range of indices or lengths that an operator takes at a position."""
    key = (node.op_type, position)
    if key in _INDICES:
        count = _INDICES[key](node, flow)
        why = f"{node.op_type} chooses among {'what it is given' if count is None else count}"
        return ValueRange(0, max((2 if count is None else count) - 1, 0), whole=True, why=why)
    if key in _LENGTHS:
        most = _LENGTHS[key](node, flow)
        why = f"{node.op_type} takes it as a length of at most {most or 'the sequence'}"
        return ValueRange(1, max(most or 1, 1), whole=True, why=why)
    return None
