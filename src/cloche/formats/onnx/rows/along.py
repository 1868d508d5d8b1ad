"""Operators that work along an axis: they mix rows where it is that of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.onnx.rows.state import Kind, MixedError, axis_in, first
from cloche.formats.onnx.uses.nodes import attribute, given

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.rows.state import Rows, State

_REDUCTIONS = (
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
)  # fmt: skip
_ONE_AXIS = {
    "Softmax": -1, "LogSoftmax": -1, "Hardmax": -1, "LpNormalization": -1, "TopK": -1, "Split": 0,
    "Concat": 0,
}  # fmt: skip
"""Operators along one axis that keep all axes, and the axis that they take by default."""
_FLATTENING = frozenset({"Softmax", "LogSoftmax", "Hardmax"})
_FLATTENED_BEFORE = 13
"""Operator set from which these work along one axis, and by default along the last one."""
_MIXES = (
    "Unique", "NonZero", "NonMaxSuppression", "DynamicQuantizeLinear", "EyeLike",
    "MaxUnpool",
)  # fmt: skip


def _reduce(node: NodeProto, rows: Rows) -> State:
    state, rank = first(node, rows), rows.rank(node.input[0])
    if not isinstance(state, int) or rank is None:
        return Kind.OPEN
    axes = _axes(node, rows)
    if axes is None:
        return Kind.OPEN
    if not axes:
        if attribute(node, "noop_with_empty_axes", 0):
            return state
        raise MixedError("reduces all axes, that of the rows among them")
    counted = {axis_in(axis, rank) for axis in axes}
    return _without(counted, state, keep=bool(attribute(node, "keepdims", 1)))


def _axes(node: NodeProto, rows: Rows) -> list[int] | None:
    """Return the axes of a node, `[]` for all of them, None if only a request tells."""
    name = given(node, 1)
    return attribute(node, "axes", []) if name is None else rows.numbers(name)


def _without(axes: set[int], state: int, *, keep: bool) -> State:
    if state in axes:
        raise MixedError("reduces the axis of the rows")
    return state if keep else state - sum(1 for axis in axes if axis < state)


def _reduce_one(node: NodeProto, rows: Rows) -> State:
    state, rank = first(node, rows), rows.rank(node.input[0])
    if not isinstance(state, int) or rank is None:
        return Kind.OPEN
    axis = axis_in(attribute(node, "axis", 0), rank)
    return _without({axis}, state, keep=bool(attribute(node, "keepdims", 1)))


def _one_axis(node: NodeProto, rows: Rows) -> State:
    state, rank = first(node, rows), rows.rank(node.input[0])
    if not isinstance(state, int) or rank is None:
        return Kind.OPEN
    flattens = node.op_type in _FLATTENING and rows.opset < _FLATTENED_BEFORE
    default = 1 if flattens else _ONE_AXIS[node.op_type]
    axis = axis_in(attribute(node, "axis", default), rank)
    if axis == state or (flattens and axis < state):
        raise MixedError("works along the axis of the rows")
    return state


def _joined(node: NodeProto, rows: Rows) -> State:
    states = {rows.state(name) for name in node.input}
    if not all(isinstance(state, int) for state in states):
        return Kind.OPEN
    if len(states) > 1:
        raise MixedError("puts the rows of its inputs along different axes")
    return _one_axis(node, rows)


def _from_axis_on(node: NodeProto, rows: Rows) -> State:
    """Follow a normalisation over all axes from one on."""
    state, rank = first(node, rows), rows.rank(node.input[0])
    for name in node.input[1:]:
        if isinstance(rows.state(name), int):
            raise MixedError(f"takes {name}, which has rows, for all rows alike")
    if not isinstance(state, int) or rank is None:
        return Kind.OPEN
    if axis_in(attribute(node, "axis", -1), rank) <= state:
        raise MixedError("works along the axis of the rows")
    return state


def _listed(node: NodeProto, rows: Rows) -> State:
    """Follow MeanVarianceNormalization, whose axes are the batch and the places by default."""
    state = first(node, rows)
    if state in attribute(node, "axes", [0, 2, 3]):
        raise MixedError("works along the axis of the rows")
    return state


def _summed(node: NodeProto, rows: Rows) -> State:
    """Follow a running sum, whose axis is its second input."""
    state, rank, axes = first(node, rows), rows.rank(node.input[0]), rows.numbers(node.input[1])
    if rank is None or not axes:
        return Kind.OPEN
    if axis_in(axes[0], rank) == state:
        raise MixedError("works along the axis of the rows")
    return state


def _compressed(node: NodeProto, rows: Rows) -> State:
    axis = attribute(node, "axis", None)
    rank = rows.rank(node.input[0])
    if axis is None or rank is None or axis_in(axis, rank) == first(node, rows):
        raise MixedError("keeps some rows and drops others")
    return first(node, rows)


def _reversed(node: NodeProto, rows: Rows) -> State:
    state, lengths = first(node, rows), rows.state(node.input[1])
    if attribute(node, "time_axis", 0) == state:
        raise MixedError("works along the axis of the rows")
    if isinstance(lengths, int) and state != attribute(node, "batch_axis", 1):
        raise MixedError("puts the rows of its inputs along different axes")
    return state


def _determinant(node: NodeProto, rows: Rows) -> State:
    state, rank = first(node, rows), rows.rank(node.input[0])
    if rank is None or not isinstance(state, int):
        return Kind.OPEN
    if state >= rank - 2:
        raise MixedError("works along the axis of the rows")
    return state


def _mixes(node: NodeProto, rows: Rows) -> State:  # noqa: ARG001 - a rule
    raise MixedError("looks at all rows at once")


RULES = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(_ONE_AXIS, _one_axis),
    **dict.fromkeys(("ArgMax", "ArgMin"), _reduce_one),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _from_axis_on),
    **dict.fromkeys(("CumSum", "CumProd"), _summed),
    **dict.fromkeys(_MIXES, _mixes),
    "Concat": _joined,
    "MeanVarianceNormalization": _listed,
    "Compress": _compressed,
    "ReverseSequence": _reversed,
    "Det": _determinant,
}
"""By operator."""
