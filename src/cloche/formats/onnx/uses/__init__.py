"""What a graph does with its inputs, and so which values and sizes it accepts.

An index is below the size of what it looks up, a target shape has the elements of what it reshapes,
a length is at most that of its sequence, a divisor is not zero. Nothing is run: the graph is walked
from its inputs to the operators that restrict them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.formats.onnx.uses import flow, limits, search, sizes

if TYPE_CHECKING:
    from onnx import ModelProto

    from cloche.artifacts import TensorSpec, ValueRange


@dataclass(frozen=True, slots=True)
class Uses:
    """What the graph tells of its inputs."""

    ranges: dict[str, ValueRange]
    """By the name of the input."""
    sizes: dict[str, int]
    """Sizes of dynamic axes, by label, or `INPUT[AXIS]` for an axis without one."""


def find(model: ModelProto, inputs: tuple[TensorSpec, ...]) -> Uses:
    """Return what a stripped model tells of these inputs."""
    found = sizes.solve(model, inputs)
    told = search.settle(model, inputs, limits.of(flow.follow(model, inputs)))
    return Uses(told.ranges, found)
