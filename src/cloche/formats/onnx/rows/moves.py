"""Operators that move elements: axes come and go, and elements are picked by index."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cloche.formats.onnx.rows.state import Kind, MixedError, axis_in, first
from cloche.formats.onnx.uses.nodes import attribute, given

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.rows.state import Rows, State

_ALIKE = frozenset({"ConstantOfShape", "Expand", "Reshape", "Unsqueeze", "Squeeze", "Tile"})
"""Operators that make rows which are all alike, from a number of rows."""
KEEPING = frozenset({
    "Add", "Sub", "Mul", "Div", "MatMul", "Gemm", "Relu", "Sigmoid", "Tanh", "Cast", "Identity",
    "Neg", "Abs", "Dropout", "Clip",
})  # fmt: skip
"""Operators that leave the axes of their first input as they are."""


def made(node: NodeProto, rows: Rows) -> State:
    """Return the state of what comes from the number of rows alone."""
    state = rows.along(node.output[0])
    return state if state is Kind.SIZES or node.op_type in _ALIKE else Kind.OPEN


def _argument(node: NodeProto, rows: Rows) -> None:
    """Raise for an argument about shapes that has rows."""
    for name in node.input[1:]:
        if isinstance(rows.state(name), int):
            raise MixedError(f"takes {name}, which has rows, for all rows alike")


def _transpose(node: NodeProto, rows: Rows) -> State:
    state, rank = first(node, rows), rows.rank(node.input[0])
    if rank is None or not isinstance(state, int):
        return Kind.OPEN
    order = attribute(node, "perm", list(reversed(range(rank))))
    return int(order.index(state))


def _flatten(node: NodeProto, rows: Rows) -> State:
    state, rank = first(node, rows), rows.rank(node.input[0])
    axis = attribute(node, "axis", 1)
    if rank is None or state != 0:
        return Kind.OPEN
    if axis_in(axis, rank) == 0:
        raise MixedError("makes one row of all rows")
    return 0


def folded(node: NodeProto, rows: Rows) -> State:
    """Follow rows that share an axis with others, until a Reshape takes that axis apart."""
    if node.op_type in {"Reshape", "Flatten"}:
        state = rows.along(node.output[0])
        return state if isinstance(state, int) else Kind.FOLDED
    others = [rows.state(name) for name in node.input]
    if node.op_type in KEEPING and set(others) <= {Kind.FOLDED, Kind.FIXED}:
        return Kind.FOLDED
    return Kind.OPEN


def _reshape(node: NodeProto, rows: Rows) -> State:
    """Follow rows that are the first axis: they stay so, alone or with the next axes in it.

    Rows along another axis stay there if what is before them does, and share an axis otherwise.
    """
    _argument(node, rows)
    state, after = first(node, rows), rows.shape(node.output[0])
    before = rows.shape(node.input[0])
    if not isinstance(state, int) or not after or not before:
        return Kind.OPEN
    if state == 0 and after[0] >= 0:
        if after[0] % rows.size:
            raise MixedError(f"makes {after[0]} rows of any number of rows")
        return 0
    if min(*after, *before) < 0:
        return Kind.OPEN
    outer = math.prod(before[:state])
    for axis, size in enumerate(after):
        if size == rows.size and math.prod(after[:axis]) == outer:
            return axis
    return Kind.FOLDED


def _unsqueeze(node: NodeProto, rows: Rows) -> State:
    _argument(node, rows)
    state, axes, rank = first(node, rows), _axes(node, rows), rows.rank(node.input[0])
    if axes is None or rank is None or not isinstance(state, int):
        return Kind.OPEN
    added = {axis_in(axis, rank + len(axes)) for axis in axes}
    kept = [axis for axis in range(rank + len(axes)) if axis not in added]
    return kept[state]


def _squeeze(node: NodeProto, rows: Rows) -> State:
    _argument(node, rows)
    state, axes, rank = first(node, rows), _axes(node, rows), rows.rank(node.input[0])
    if not axes or rank is None or not isinstance(state, int):
        return Kind.OPEN
    removed = {axis_in(axis, rank) for axis in axes}
    if state in removed:
        raise MixedError("removes the axis of the rows")
    return state - sum(1 for axis in removed if axis < state)


def _axes(node: NodeProto, rows: Rows) -> list[int] | None:
    name = given(node, 1)
    return attribute(node, "axes", None) if name is None else rows.numbers(name)


def _slice(node: NodeProto, rows: Rows) -> State:
    _argument(node, rows)
    return _same_size(node, rows, "cuts along the axis of the rows")


def _same_size(node: NodeProto, rows: Rows, otherwise: str) -> State:
    """Return the state of what keeps its axes, if it keeps the number of rows."""
    state, after = first(node, rows), rows.shape(node.output[0])
    before = rows.shape(node.input[0])
    if not isinstance(state, int) or not after or not before or len(after) != len(before):
        return Kind.OPEN
    if after[state] < 0:
        return Kind.OPEN
    if after[state] != before[state]:
        raise MixedError(otherwise)
    return state


def _resized(node: NodeProto, rows: Rows) -> State:
    _argument(node, rows)
    return _same_size(node, rows, "changes the number of rows")


def _expand(node: NodeProto, rows: Rows) -> State:
    _argument(node, rows)
    state, rank = first(node, rows), rows.rank(node.input[0])
    after = rows.rank(node.output[0])
    if not isinstance(state, int) or rank is None or after is None:
        return Kind.OPEN
    return state + after - rank


def _gather(node: NodeProto, rows: Rows) -> State:
    data, indices = rows.state(node.input[0]), rows.state(node.input[1])
    rank, picked = rows.rank(node.input[0]), rows.rank(node.input[1])
    if rank is None or picked is None or Kind.SIZES in {data, indices}:
        return Kind.OPEN
    axis = axis_in(attribute(node, "axis", 0), rank)
    if not isinstance(data, int):
        return axis + indices if isinstance(indices, int) else Kind.OPEN
    if isinstance(indices, int) or axis == data:
        raise MixedError("picks among the rows")
    return data + picked - 1 if axis < data else data


def _gather_elements(node: NodeProto, rows: Rows) -> State:
    states = {rows.state(name) for name in node.input}
    rank = rows.rank(node.input[0])
    if rank is None or not all(isinstance(state, int) for state in states):
        return Kind.OPEN
    if len(states) > 1 or axis_in(attribute(node, "axis", 0), rank) in states:
        raise MixedError("picks among the rows")
    return states.pop()


def _tuples(node: NodeProto, rows: Rows) -> State:
    """Follow GatherND: its indices count rows unless the axis of the rows is a batch axis."""
    data, indices = rows.state(node.input[0]), rows.state(node.input[1])
    if data is Kind.FIXED and isinstance(indices, int):
        return indices
    if data == 0 and indices == 0 and attribute(node, "batch_dims", 0) > 0:
        return 0
    if isinstance(data, int) and not attribute(node, "batch_dims", 0):
        raise MixedError("picks among the rows")
    return Kind.OPEN


def _one_hot(node: NodeProto, rows: Rows) -> State:
    _argument(node, rows)
    state, rank = first(node, rows), rows.rank(node.input[0])
    if rank is None or not isinstance(state, int):
        return Kind.OPEN
    return state + (axis_in(attribute(node, "axis", -1), rank + 1) <= state)


RULES = {
    "Transpose": _transpose,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "ScatterElements": _gather_elements,
    "Scatter": _gather_elements,
    "GatherND": _tuples,
    "ScatterND": _tuples,
    "OneHot": _one_hot,
    **dict.fromkeys(("Pad", "Tile", "Resize", "Upsample", "CenterCropPad"), _resized),
}
"""By operator."""
