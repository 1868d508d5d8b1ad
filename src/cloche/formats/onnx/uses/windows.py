"""Arguments of signal processing: lengths of windows and transforms, steps, blocks of an image.

The sizes follow the definitions in https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING

from cloche.formats.onnx.uses.nodes import attribute, given
from cloche.formats.onnx.uses.targets import fixed

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow
    from cloche.formats.onnx.uses.targets import Rule


def _length(node: NodeProto, flow: Flow) -> list[float] | None:
    after = fixed(flow, node.output[0])
    return None if not after else [float(after[0])]


def _mel_bins(node: NodeProto, flow: Flow) -> list[float] | None:
    after = fixed(flow, node.output[0])
    return None if after is None else [float(after[1])]


def _mel_length(node: NodeProto, flow: Flow) -> list[float] | None:
    after = fixed(flow, node.output[0])
    return None if after is None else [2.0 * (after[0] - 1)]


def _transformed(node: NodeProto, flow: Flow) -> list[float] | None:
    """Return the length of a DFT: what its output has along the axis."""
    after, axis = fixed(flow, node.output[0]), _transformed_axis(node, flow)
    if after is None or axis is None:
        return None
    size = after[int(axis[0])]
    return [2.0 * (size - 1) if attribute(node, "onesided", 0) else float(size)]


def _transformed_axis(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    if before is None or after is None:
        return None
    changed = [axis for axis in range(1, len(before) - 1) if before[axis] != after[axis]]
    return [float(changed[0] if changed else attribute(node, "axis", 1))]


def _frame_length(node: NodeProto, flow: Flow) -> list[float] | None:
    window, after = given(node, 2), fixed(flow, node.output[0])
    shape = None if window is None else fixed(flow, window)
    if shape:
        return [float(shape[0])]
    if after is None:
        return None
    return [2.0 * (after[2] - 1) if attribute(node, "onesided", 1) else float(after[2])]


def _frame_step(node: NodeProto, flow: Flow) -> list[float] | None:
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    length = _frame_length(node, flow)
    if before is None or after is None or length is None:
        return None
    return [max(1.0, (before[1] - length[0]) // max(after[1] - 1, 1))]


def _image(node: NodeProto, flow: Flow) -> list[float] | None:
    after = fixed(flow, node.output[0])
    return None if after is None else [float(size) for size in after[2:]]


def _block(node: NodeProto, flow: Flow) -> list[float] | None:
    """Return the block of a Col2Im: it has the channels' product, and as many places as columns."""
    before, after = fixed(flow, node.input[0]), fixed(flow, node.output[0])
    if before is None or after is None:
        return None
    image, rank = after[2:], len(after) - 2
    pads = attribute(node, "pads", [0] * 2 * rank)
    strides = attribute(node, "strides", [1] * rank)
    spread = attribute(node, "dilations", [1] * rank)
    padded = [image[i] + pads[i] + pads[rank + i] for i in range(rank)]
    for block in product(*(range(1, size + 1) for size in padded)):
        reach = [spread[i] * (block[i] - 1) for i in range(rank)]
        places = [(padded[i] - reach[i] - 1) // strides[i] + 1 for i in range(rank)]
        fits = min(places) > 0 and prod(places) == before[2]
        if fits and prod(block) * after[1] == before[1]:
            return [float(size) for size in block]
    return None


RULES: dict[tuple[str, int], Rule] = {
    ("HannWindow", 0): _length,
    ("HammingWindow", 0): _length,
    ("BlackmanWindow", 0): _length,
    ("MelWeightMatrix", 0): _mel_bins,
    ("MelWeightMatrix", 1): _mel_length,
    ("DFT", 1): _transformed,
    ("DFT", 2): _transformed_axis,
    ("STFT", 1): _frame_step,
    ("STFT", 3): _frame_length,
    ("Col2Im", 1): _image,
    ("Col2Im", 2): _block,
}
"""By operator and position of the argument."""
