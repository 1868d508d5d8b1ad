"""Operators that take a part of the numbers: a square root, a divisor, a probability, an angle."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cloche.artifacts import ValueRange

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow

_SMALL = 0.1
"""Far enough from zero to divide by, or to take the logarithm of, in half precision too."""
_BOUNDS: dict[tuple[str, int], tuple[float | None, float | None]] = {
    ("Sqrt", 0): (0, None),
    ("Log", 0): (_SMALL, None),
    ("ReduceLogSum", 0): (_SMALL, None),
    ("Reciprocal", 0): (_SMALL, None),
    ("Div", 1): (_SMALL, None),
    ("Mod", 1): (_SMALL, None),
    ("Pow", 0): (0, 4),
    ("Pow", 1): (0, 3),
    ("Exp", 0): (None, 8),
    ("Acos", 0): (-1, 1),
    ("Asin", 0): (-1, 1),
    ("Atanh", 0): (-0.9, 0.9),
    ("Acosh", 0): (1, 4),
    ("Tan", 0): (-1, 1),
    ("BitShift", 1): (0, 7),
    ("Bernoulli", 0): (0, 1),
    ("Dropout", 1): (0, 0.5),
    ("BatchNormalization", 4): (_SMALL, 1),
    ("Clip", 1): (0, 0.25),
    ("Clip", 2): (0.5, 1),
    ("GridSample", 1): (-1, 1),
    ("QuantizeLinear", 1): (_SMALL, 1),
    ("DequantizeLinear", 1): (_SMALL, 1),
    ("QLinearConv", 1): (_SMALL, 1),
    ("QLinearConv", 4): (_SMALL, 1),
    ("QLinearConv", 6): (_SMALL, 1),
    ("QLinearMatMul", 1): (_SMALL, 1),
    ("QLinearMatMul", 4): (_SMALL, 1),
    ("QLinearMatMul", 6): (_SMALL, 1),
    ("NonMaxSuppression", 2): (1, 4),
    ("NonMaxSuppression", 3): (1, 1),
    ("NonMaxSuppression", 4): (0, 0),
    ("Trilu", 1): (0, 1),
    ("MelWeightMatrix", 2): (8000, 16000),
    ("MelWeightMatrix", 3): (0, 0),
    ("MelWeightMatrix", 4): (2000, 4000),
}
"""By operator and position of the input: the lowest and highest value, both taken."""
_SWITCHES = {("If", 0): (0, 1), ("Loop", 1): (1, 1), ("Dropout", 2): (0, 0)}
_BOOL = 9


def limit(node: NodeProto, position: int, flow: Flow) -> ValueRange | None:
    """Return what an operator's arithmetic asks of the input at a position."""
    key = (node.op_type, position)
    if key in _SWITCHES:
        low, high = _SWITCHES[key]
        return ValueRange(low, high, whole=True, why=f"{node.op_type} takes it as a switch")
    if key in _BOUNDS:
        lowest, highest = _BOUNDS[key]
        return ValueRange(lowest, highest, whole=False, why=f"what {node.op_type} is defined for")
    if node.op_type == "Equal":
        return _compared(node, position, flow)
    if _is_mask(node, position, flow):
        return ValueRange(0, 1, whole=True, why="the graph uses it as a mask")
    return None


def _compared(node: NodeProto, position: int, flow: Flow) -> ValueRange | None:
    """Return what an input is compared with: one number, such as a sampling rate, or each of many.

    A one-hot encoding in basic operators compares with 0, 1, 2 … to the last class.
    """
    constant = flow.constants.get(node.input[1 - position])
    if constant is None or constant.dtype.kind not in "iuf" or not constant.size:
        return None
    values = constant.ravel()
    if constant.size == 1:
        alone = flow.shape(node.input[position]) in {(), (1,)}
        if not alone or not flow.whole(node.input[position]):
            return None
        why = "the graph asks whether it is this one"
        return ValueRange(float(values[0]), float(values[0]), whole=False, why=why)
    if any(after - before != 1 for before, after in pairwise(values.tolist())):
        return None
    why = f"the graph compares it with each of {constant.size} numbers"
    return ValueRange(float(values[0]), float(values[-1]), whole=True, why=why)


def _is_mask(node: NodeProto, position: int, flow: Flow) -> bool:
    """Return whether an integer becomes a truth value, or is taken from one."""
    if not any(
        flow.datatypes[carried.input].startswith(("INT", "UINT"))
        for carried in flow.carried.get(node.input[position], ())
    ):
        return False
    if node.op_type == "Cast":
        return any(each.name == "to" and each.i == _BOOL for each in node.attribute)
    if node.op_type == "Sub" and position == 1:
        constant = flow.constants.get(node.input[0])
        return constant is not None and constant.size == 1 and constant.item() == 1
    return False
