"""What is known of a value while the rows of a batch are followed through a graph."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto


class Kind(enum.Enum):
    """A value whose rows lie along none of its axes."""

    FIXED = "the same for every request"
    SIZES = "computed from the number of rows"
    FOLDED = "rows in an axis together with what was before them"
    OPEN = "unknown"


State = int | Kind
"""The axis along which a value has the rows of the batch, or what else is known of it."""


class MixedError(Exception):
    """A node mixes the rows of a batch; the text continues `the node …`."""


@dataclass(slots=True)
class Rows:
    """The states of a graph's values so far, and their shapes for a batch of `size` rows."""

    size: int
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, NDArray[Any]]
    opset: int
    states: dict[str, State] = field(default_factory=dict)

    def state(self, name: str) -> State:
        """Return the state of a value; a missing optional input is fixed."""
        return self.states.get(name, Kind.FIXED if not name else Kind.OPEN)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a value, None if its rank is unknown; -1 is an unknown size."""
        return self.shapes.get(name)

    def rank(self, name: str) -> int | None:
        """Return the rank of a value, None if it is unknown."""
        shape = self.shapes.get(name)
        return None if shape is None else len(shape)

    def numbers(self, name: str) -> list[int] | None:
        """Return the elements of an integer constant, None for what is none."""
        constant = self.constants.get(name)
        if constant is None or constant.dtype.kind not in "iu":
            return None
        return [int(element) for element in constant.ravel().tolist()]

    def along(self, name: str) -> State:
        """Return where the rows of a value lie by its shape: the one axis of their number."""
        shape = self.shapes.get(name)
        if shape is None:
            return Kind.OPEN
        axes = [axis for axis, size in enumerate(shape) if size == self.size]
        if len(axes) == 1:
            return axes[0]
        return Kind.OPEN if axes or -1 in shape else Kind.SIZES


def first(node: NodeProto, rows: Rows) -> State:
    """Return the state of a node's first input."""
    return rows.state(node.input[0]) if node.input else Kind.FIXED


def axis_in(axis: int, rank: int) -> int:
    """Return an axis counted from 0."""
    return axis + rank if axis < 0 else axis
