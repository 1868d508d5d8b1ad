"""Arguments that are shapes or axes, told by what comes in and what goes out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

from cloche.formats.onnx.uses.nodes import attribute, given, number, numbers

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow

    Shape = tuple[int, ...]

Rule = Callable[["NodeProto", "Flow"], "list[float] | None"]
"""Returns the elements of an argument, None where the shapes do not tell them."""

REDUCTIONS = (
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
)  # fmt: skip
"""Operators that take axes to reduce as their second input."""


def fixed(flow: Flow, name: str) -> Shape | None:
    """Return a shape of which every size is known."""
    shape = flow.shape(name)
    return None if shape is None or min(shape, default=0) < 0 else shape


def room(node: NodeProto, flow: Flow, position: int) -> int | None:
    """Return how many elements the argument at a position has."""
    name = given(node, position)
    shape = None if name is None else fixed(flow, name)
    if shape is None:
        return None
    count = 1
    for size in shape:
        count *= size
    return count


def _output(node: NodeProto, flow: Flow) -> list[float] | None:
    shape = fixed(flow, node.output[0])
    return None if shape is None else list(shape)


def _reshape(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    count = room(node, flow, 1)
    if after is None or (count is not None and count != len(after)):
        return None if not count else [-1.0] + [1.0] * (count - 1)
    open_axes = [axis for axis, size in enumerate(after) if size < 0]
    if len(open_axes) <= 1:
        return list(after)
    if before is not None and all(axis < len(before) for axis in open_axes[:-1]):
        kept = open_axes[:-1]  # 0 keeps the size that comes in
        return [0.0 if axis in kept else float(size) for axis, size in enumerate(after)]
    return None


def _tile(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    if not before or not after or min(before) == 0:
        return None
    return [float(there // here) for here, there in zip(before, after, strict=True)]


def _pads(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    if before is None or after is None:
        return None
    more = [there - here for here, there in zip(before, after, strict=True)]
    axes = _axes(node, flow, 3, more)
    more = [more[axis] for axis in axes]
    return [float(each // 2) for each in more] + [float(each - each // 2) for each in more]


def _axes(node: NodeProto, flow: Flow, position: int, more: list[int]) -> list[int]:
    """Return the axes that a node names: a constant, or those that change, then the others."""
    name = given(node, position)
    if name is None:
        return list(range(len(more)))
    told = numbers(flow, name)
    if told is not None:
        return [int(axis) for axis in told]
    changing = [axis for axis, each in enumerate(more) if each]
    others = [axis for axis, each in enumerate(more) if not each]
    return sorted((changing + others)[: room(node, flow, position) or len(changing)])


def _pad_axes(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    if before is None or after is None:
        return None
    more = [there - here for here, there in zip(before, after, strict=True)]
    return [float(axis) for axis in _axes(node, flow, 3, more)]


def _scales(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    axes = attribute(node, "axes", None)
    if not before or not after or len(before) != len(after):
        return None
    known = [
        there / here if here > 0 and there > 0 else 1.0 if axis < 2 else 2.0
        for axis, (here, there) in enumerate(zip(before, after, strict=True))
    ]
    return known if axes is None else [known[axis] for axis in axes]


def _sizes(node: NodeProto, flow: Flow) -> list[float] | None:
    after, axes = fixed(flow, node.output[0]), attribute(node, "axes", None)
    if after is None:
        return None
    return [float(after[axis]) for axis in (range(len(after)) if axes is None else axes)]


def _region(node: NodeProto, flow: Flow) -> list[float] | None:
    count = room(node, flow, 1)
    return None if not count else [0.0] * (count // 2) + [1.0] * (count // 2)


def _reduced(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    count = room(node, flow, 1)
    if before is None or after is None or count is None:
        return None
    return _which(before, after, count, keep=bool(attribute(node, "keepdims", 1)))


def _squeezed(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    count = room(node, flow, 1)
    if before is None or after is None or count is None:
        return None
    return _which(before, after, count, keep=False, ones=True)


def _unsqueezed(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    count = room(node, flow, 1)
    if before is None or after is None or count is None:
        return None
    return _which(after, before, count, keep=False, ones=True)


def _which(
    larger: Shape, smaller: Shape, count: int, *, keep: bool, ones: bool = False
) -> list[float] | None:
    """Return so many axes of the larger shape without which it is the smaller one.

    `keep`: they have the size 1 in the smaller one. `ones`: they have it in the larger one. The
    last axes are tried first: the first is often the batch.
    """
    for axes in combinations(reversed(range(len(larger))), min(count, len(larger))):
        if ones and any(larger[axis] not in {1, -1} for axis in axes):
            continue
        left = [
            1 if axis in axes else size
            for axis, size in enumerate(larger)
            if keep or axis not in axes
        ]
        if _alike(left, smaller):
            return [float(axis) for axis in sorted(axes)]
    return None


def _alike(left: list[int], other: Shape) -> bool:
    return len(left) == len(other) and all(
        here == there or -1 in {here, there} for here, there in zip(left, other, strict=True)
    )


def _grid(node: NodeProto, flow: Flow) -> list[float] | None:
    after = fixed(flow, node.output[0])  # [N, D?, H, W, 2 or 3]
    return None if after is None else [float(size) for size in (after[0], 1, *after[1:-1])]


def _sliced(part: int) -> Rule:
    """Return the rule for the starts (0), ends (1), axes (2) or steps (3) of a Slice."""

    def rule(node: NodeProto, flow: Flow) -> list[float] | None:
        solved = _slice(node, flow)
        return None if solved is None else [float(each[part]) for each in solved]

    return rule


def _slice(node: NodeProto, flow: Flow) -> list[tuple[int, int, int, int]] | None:
    """Return start, end, axis and step of each axis that a Slice cuts."""
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    count = room(node, flow, 1) or room(node, flow, 2)
    if before is None or after is None or not count or len(before) != len(after):
        return None
    less = [here - there for here, there in zip(before, after, strict=True)]
    axes = _axes(node, flow, 3, less)
    axes = axes[:count] if given(node, 3) is None else axes
    steps = numbers(flow, given(node, 4) or "") or [1.0] * len(axes)
    starts = numbers(flow, given(node, 1) or "")
    cuts = []
    for index, (axis, step) in enumerate(zip(axes, steps, strict=False)):
        size, wanted = before[axis], after[axis]
        start = int(starts[index]) if starts else 0 if step > 0 else size - 1
        first = start + size if start < 0 else start
        end = first + int(wanted * step)
        cuts.append((start, end if end >= 0 else -size - 1, axis, int(step)))
    return cuts


def _range(part: int) -> Rule:
    """Return the rule for the start (0), limit (1) or step (2) of a Range."""

    def rule(node: NodeProto, flow: Flow) -> list[float] | None:
        shape = flow.shape(node.output[0])
        if not shape or shape[0] < 1:
            return None
        count = shape[0]
        start, limit, step = (number(flow, name) for name in node.input)
        step = 1.0 if step is None else step
        if start is None:
            start = 0.0 if limit is None else limit - count * step
        return [(start, start + count * step, step)[part]]

    return rule


RULES: dict[tuple[str, int], Rule] = {
    ("Reshape", 1): _reshape,
    ("Expand", 1): _output,
    ("ConstantOfShape", 0): _output,
    ("Tile", 1): _tile,
    ("Pad", 1): _pads,
    ("Pad", 3): _pad_axes,
    ("Resize", 1): _region,
    ("Resize", 2): _scales,
    ("Resize", 3): _sizes,
    ("Upsample", 1): _scales,
    ("Squeeze", 1): _squeezed,
    ("Unsqueeze", 1): _unsqueezed,
    ("CenterCropPad", 1): _sizes,
    ("AffineGrid", 1): _grid,
    ("MaxUnpool", 2): _output,
    **{("Slice", 1 + part): _sliced(part) for part in range(4)},
    **{("Range", part): _range(part) for part in range(3)},
    **{(name, 1): _reduced for name in REDUCTIONS},
}
"""By operator and position of the argument."""
