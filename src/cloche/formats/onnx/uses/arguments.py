"""Operators that take an input as an argument about shapes, such as sizes, axes, pads or counts.

Where the shapes around the operator are known, they tell the argument: the target of a Reshape is
the shape of its output. Where they are open, a modest argument is chosen that fits any shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ValueRange
from cloche.formats.onnx.uses import counts, targets, windows
from cloche.formats.onnx.uses.nodes import given

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow
    from cloche.formats.onnx.uses.targets import Rule

_RULES: dict[tuple[str, int], Rule] = {**targets.RULES, **counts.RULES, **windows.RULES}
_MODEST: dict[tuple[str, int], tuple[float, float]] = {
    ("Reshape", 1): (1, 1),
    ("Expand", 1): (1, 1),
    ("ConstantOfShape", 0): (1, 4),
    ("Tile", 1): (1, 2),
    ("Pad", 1): (0, 1),
    ("Resize", 2): (1, 2),
    ("Resize", 3): (1, 8),
    ("Upsample", 1): (1, 2),
    ("Slice", 1): (0, 0),
    ("Slice", 2): (1, 1),
    ("Slice", 4): (1, 1),
    ("Range", 0): (0, 0),
    ("Range", 1): (1, 4),
    ("Range", 2): (1, 1),
    ("OneHot", 1): (4, 8),
    ("Loop", 0): (1, 3),
    ("Trilu", 1): (0, 1),
    ("CenterCropPad", 1): (1, 4),
    ("AffineGrid", 1): (1, 4),
    ("MaxUnpool", 2): (8, 8),
    ("DFT", 1): (4, 4),
    ("DFT", 2): (1, 1),
    ("STFT", 1): (1, 1),
    ("STFT", 3): (4, 4),
    ("HannWindow", 0): (4, 8),
    ("HammingWindow", 0): (4, 8),
    ("BlackmanWindow", 0): (4, 8),
    ("MelWeightMatrix", 0): (2, 4),
    ("MelWeightMatrix", 1): (16, 16),
    ("Squeeze", 1): (0, 0),
    ("Unsqueeze", 1): (0, 0),
    **{(name, 1): (0, 0) for name in targets.REDUCTIONS},
}
"""By operator and position: what is asked for where no shape tells."""


def takes(operator: str, position: int) -> bool:
    """Return whether an operator takes an argument about shapes at a position."""
    return (operator, position) in _RULES or (operator, position) in _MODEST


def limit(node: NodeProto, position: int, flow: Flow) -> ValueRange | None:
    """Return what an operator needs as its argument at a position, None for other inputs."""
    key = (node.op_type, position)
    name = given(node, position)
    if name is None or (key not in _RULES and key not in _MODEST):
        return None
    values = _RULES[key](node, flow) if key in _RULES else None
    if values is not None and _fits(values, flow.shape(name)):
        why = f"the shapes around {node.op_type} leave this argument"
        return ValueRange(None, None, whole=False, why=why, values=tuple(map(float, values)))
    if key not in _MODEST:
        return None
    low, high = _MODEST[key]
    return ValueRange(low, high, whole=True, why=f"a modest argument of {node.op_type}")


def is_guess(node: NodeProto, position: int, limit: ValueRange) -> bool:
    """Return whether a limit is a modest argument, for want of a shape that tells it."""
    return not limit.values and (node.op_type, position) in _MODEST


def _fits(values: list[float], shape: tuple[int, ...] | None) -> bool:
    """Return whether the argument has room for the values; an open size has."""
    if shape is None or -1 in shape:
        return bool(values)
    room = 1
    for size in shape:
        room *= size
    return room == len(values) > 0
