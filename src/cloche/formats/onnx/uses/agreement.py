"""Which axes must have one size, by operator: the inner axes of a product, those of a broadcast."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from cloche.formats.onnx.uses.nodes import attribute

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import NodeProto

    Place = tuple[int, int]
    """The position of an input of a node, and an axis of it, counted from 0."""

BROADCASTING = frozenset({
    "Add", "Sub", "Mul", "Div", "Pow", "Mod", "And", "Or", "Xor", "Equal", "Greater", "Less",
    "GreaterOrEqual", "LessOrEqual", "Where", "Max", "Min", "Sum", "Mean", "PRelu",
})  # fmt: skip
"""Operators that take a size of 1 beside any other."""
_CHANNELS = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization"})
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_LAST = frozenset({"LayerNormalization", "RMSNormalization"})
_PRODUCTS = {"MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
_CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}


def equal_axes(node: NodeProto, ranks: Mapping[int, int]) -> Iterator[tuple[Place, Place]]:
    """Yield the pairs of axes of a node's inputs that must agree; `ranks` has those known."""
    for first, second in _pairs(node, ranks):
        places = (first, second)
        if all(place in ranks and 0 <= axis < ranks[place] for place, axis in places):
            yield first, second


def _pairs(node: NodeProto, ranks: Mapping[int, int]) -> Iterator[tuple[Place, Place]]:
    kind = node.op_type
    if kind in BROADCASTING:
        yield from _broadcast(ranks)
    elif kind == "Concat":
        yield from _joined(ranks, attribute(node, "axis", 0))
    elif kind in _LAST:
        yield from _broadcast({place: rank for place, rank in ranks.items() if place < 3})
    elif kind in _PRODUCTS:
        left, right = _PRODUCTS[kind]
        yield (left, ranks.get(left, 0) - 1), (right, max(ranks.get(right, 0) - 2, 0))
    elif kind in _CONVOLUTIONS and attribute(node, "group", 1) == 1:
        left, right = _CONVOLUTIONS[kind]
        yield (left, 1), (right, 1)
    elif kind == "Gemm":
        inner = (0 if attribute(node, "transA", 0) else 1, 1 if attribute(node, "transB", 0) else 0)
        yield (0, inner[0]), (1, inner[1])
    elif kind == "ConvTranspose":
        yield (0, 1), (1, 0)
    elif kind in _RECURRENT:
        yield (0, 2), (1, 2)
    elif kind in _CHANNELS:
        yield from (((0, 1), (place, 0)) for place in range(1, 5))


def _broadcast(ranks: Mapping[int, int]) -> Iterator[tuple[Place, Place]]:
    for first, second in combinations(sorted(ranks), 2):
        for back in range(1, min(ranks[first], ranks[second]) + 1):
            yield (first, ranks[first] - back), (second, ranks[second] - back)


def _joined(ranks: Mapping[int, int], along: int) -> Iterator[tuple[Place, Place]]:
    for first, second in combinations(sorted(ranks), 2):
        rank = min(ranks[first], ranks[second])
        for axis in range(rank):
            if axis != along % rank:
                yield (first, axis), (second, axis)
