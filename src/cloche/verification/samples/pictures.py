"""Pictures with something on them: dark strokes in rows on a light ground, as writing has them.

A detector finds nothing in noise. Its answer is then all but zero, and says nothing about whether
it is served rightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from cloche.artifacts import TensorSpec

_KINDS = frozenset({"FP16", "FP32", "FP64", "UINT8"})
_CHANNELS = (1, 3)
_SMALLEST = 16
"""Fewest pixels of a side on which strokes are seen."""
_HIGHEST = 16
"""Pixels of a row of strokes, at most a quarter of the picture."""
_GRAIN, _INK, _COVERED = 0.1, 0.1, 0.4
"""How uneven the ground is, how light a stroke is, how much of a row is strokes."""


def is_picture(spec: TensorSpec) -> bool:
    """Return whether an input is [rows, channels, height, width], or with the channels last."""
    return spec.datatype in _KINDS and _channel_axis(spec.shape) is not None


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    if len(shape) != 4:
        return None
    return next((axis for axis in (1, 3) if shape[axis] in _CHANNELS), None)


def draw(spec: TensorSpec, shape: tuple[int, ...], generator: Generator) -> NDArray[Any] | None:
    """Return a picture with values from 0 to 1; None if it is no picture, or too small for one."""
    import numpy as np

    channels = _channel_axis(spec.shape)
    if not is_picture(spec) or channels is None:
        return None
    rows, high, wide, depth = np.moveaxis(np.empty(shape, np.bool_), channels, 3).shape
    if min(high, wide) < _SMALLEST:
        return None
    picture = 1 - _GRAIN * generator.random((rows, high, wide, depth))
    row = min(_HIGHEST, high // 4)
    for top in range(row, high - row, 2 * row):
        strokes = generator.random(wide) < _COVERED
        picture[:, top : top + row, strokes] *= _INK
    return np.moveaxis(picture, 3, channels)
