"""Arguments that count: parts of a split, rounds of a loop, the largest to keep, rows to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.onnx.uses.nodes import attribute
from cloche.formats.onnx.uses.targets import fixed, room

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow
    from cloche.formats.onnx.uses.targets import Rule


def _split(node: NodeProto, flow: Flow) -> list[float] | None:
    axis = attribute(node, "axis", 0)
    parts = [fixed(flow, name) for name in node.output]
    if any(part is None for part in parts):
        return _even(node, flow)
    return [float(part[axis]) for part in parts if part is not None]


def _even(node: NodeProto, flow: Flow) -> list[float] | None:
    """Return the sizes of equal parts, the last one larger; one alone for a scalar argument."""
    before, count = fixed(flow, node.input[0]), room(node, flow, 1)
    if before is None or not count:
        return None
    size = before[attribute(node, "axis", 0)]
    if flow.shape(node.input[1]) == ():
        return [1.0]
    part = size // count
    return [float(part)] * (count - 1) + [float(size - part * (count - 1))]


def _largest(node: NodeProto, flow: Flow) -> list[float] | None:
    after = fixed(flow, node.output[0])
    return None if not after else [float(after[attribute(node, "axis", -1)])]


def _rounds(node: NodeProto, flow: Flow) -> list[float] | None:
    """Return the size of what a loop collects, one part per round."""
    carried = len(node.input) - 2
    for name in node.output[carried:]:
        shape = flow.shape(name)
        if shape and shape[0] > 0:
            return [float(shape[0])]
    return None


def _kept(node: NodeProto, flow: Flow) -> list[float] | None:
    """Return which rows to keep so that as many are left as the output has."""
    after, count = fixed(flow, node.output[0]), room(node, flow, 1)
    axis = attribute(node, "axis", None)
    if not after or not count:
        return None
    left = min(after[0 if axis is None else axis], count)
    return [1.0] * left + [0.0] * (count - left)


def _depth(node: NodeProto, flow: Flow) -> list[float] | None:
    after = flow.shape(node.output[0])
    axis = attribute(node, "axis", -1)
    return [float(after[axis])] if after and after[axis] > 0 else None


def _boxes(node: NodeProto, flow: Flow) -> list[float] | None:
    """Return how many boxes of each class of each image make up a NonMaxSuppression's output."""
    after, scores = fixed(flow, node.output[0]), fixed(flow, node.input[1])
    if not after or not scores or after[0] % (scores[0] * scores[1]):
        return None
    return [after[0] / (scores[0] * scores[1])]


RULES: dict[tuple[str, int], Rule] = {
    ("Split", 1): _split,
    ("SplitToSequence", 1): _even,
    ("TopK", 1): _largest,
    ("Loop", 0): _rounds,
    ("NonMaxSuppression", 2): _boxes,
    ("Compress", 1): _kept,
    ("OneHot", 1): _depth,
}
"""By operator and position of the argument."""
