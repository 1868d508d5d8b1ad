"""Operators that multiply with weights: products, convolutions, recurrent layers, attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.onnx.rows.pointwise import alone
from cloche.formats.onnx.rows.state import Kind, MixedError, first
from cloche.formats.onnx.uses.nodes import attribute

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.rows.state import Rows, State

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_IMAGES = (
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "LpPool",
    "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "BatchNormalization",
    "InstanceNormalization", "GroupNormalization", "LRN", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
"""Operators on [rows, channels, …]."""


def _product(node: NodeProto, rows: Rows) -> State:
    """Follow a matrix product over the last axis of one and the last but one of the other."""
    left, right = node.input[0], node.input[_second(node)]
    for name in node.input:
        if name not in {left, right} and isinstance(rows.state(name), int):
            raise MixedError(f"takes {name}, which has rows, for all rows alike")
    first_rank, second_rank = rows.rank(left), rows.rank(right)
    states = (rows.state(left), rows.state(right))
    if not first_rank or not second_rank or Kind.SIZES in states:
        return Kind.OPEN
    if states[0] == first_rank - 1 or states[1] == max(second_rank - 2, 0):
        raise MixedError("sums over the axis of the rows")
    if 1 in {first_rank, second_rank}:
        return Kind.OPEN
    rank = max(first_rank, second_rank)
    found = {
        state + rank - own
        for state, own in zip(states, (first_rank, second_rank), strict=True)
        if isinstance(state, int)
    }
    if len(found) > 1:
        raise MixedError("puts the rows of its inputs along different axes")
    return found.pop()


def _second(node: NodeProto) -> int:
    return 3 if node.op_type == "QLinearMatMul" else 1


def _gemm(node: NodeProto, rows: Rows) -> State:
    states = [rows.state(name) for name in node.input]
    left = 1 if attribute(node, "transA", 0) else 0
    if states[0] == 1 - left or isinstance(states[1], int):
        raise MixedError("sums over the axis of the rows, or takes rows as weights")
    if len(states) > 2 and isinstance(states[2], int):
        bias = rows.rank(node.input[2])
        if states[2] != 0 or bias != 2 or states[0] != left:
            raise MixedError("puts the rows of its inputs along different axes")
    return 0 if states[0] == left else Kind.OPEN


def _image(node: NodeProto, rows: Rows) -> State:
    if node.op_type == "MaxPool" and len(node.output) > 1:
        raise MixedError("counts its places over all rows")
    if attribute(node, "training_mode", 0):
        raise MixedError("takes the mean over all rows")
    state = alone(node, rows)
    if state == 1:
        raise MixedError("takes the rows for channels")
    return state


def _recurrent(node: NodeProto, rows: Rows) -> State:
    """Follow a recurrent layer; the rows are its second axis, or its first with layout 1."""
    batch = 0 if attribute(node, "layout", 0) else 1
    for position, name in enumerate(node.input):
        state = rows.state(name)
        if not isinstance(state, int):
            continue
        wanted = {0: batch, 4: 0, 5: batch, 6: batch}.get(position)
        if state != wanted:
            raise MixedError("runs along the axis of the rows, or takes rows as weights")
    return batch if first(node, rows) == batch else Kind.OPEN


def recurrent_outputs(node: NodeProto, batch: State) -> list[State]:
    """Return where the rows are in all outputs; the first has an axis of directions before them."""
    if not isinstance(batch, int):
        return [Kind.OPEN] * len(node.output)
    return [2 if batch else 0, *[batch] * (len(node.output) - 1)]


def _attention(node: NodeProto, rows: Rows) -> State:
    """Follow Attention: rows are the first axis of all but a mask, which is aligned from the last.

    A mask of four axes begins with the rows. One of fewer has them where heads or queries are.
    """
    for position, name in enumerate(node.input):
        state, rank = rows.state(name), rows.rank(name)
        if not isinstance(state, int):
            continue
        if position == 3 and rank != 4:
            raise MixedError("takes the rows of its mask for heads or queries")
        if state != 0:
            return Kind.OPEN
    return 0 if first(node, rows) == 0 else Kind.OPEN


RULES = {
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _product),
    "Gemm": _gemm,
    **dict.fromkeys(_IMAGES, _image),
    **dict.fromkeys(RECURRENT, _recurrent),
    "Attention": _attention,
}
"""By operator."""
