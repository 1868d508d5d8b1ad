"""Lists of unequal length in arrays: what is shorter is filled up, and its length told beside it.

`COLUMN.lengths` has the axes of the column without the last one, and at least two; -1 stands where
there is no list. Imports nothing of Cloche. Syntax for Python 3.8.
"""

# Before Python 3.10 zip() knows no strict.
# ruff: noqa: B905

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def cut(array: Array, lengths: Array) -> list[Any]:
    """Return the rows with lists of their own lengths; None where there is no list."""
    told = lengths.reshape(array.shape[:-1])
    return [_cut(row, length) for row, length in zip(array, told)]


def _cut(row: Array, lengths: Any) -> Any:
    if np.ndim(lengths) == 0:
        return None if lengths < 0 else row[: int(lengths)]
    parts = [_cut(one, length) for one, length in zip(row, lengths)]
    return [one for one in parts if one is not None]


def fill(rows: Any, axes: int, dtype: Any) -> tuple[Array, Array]:
    """Return rows of lists, nested so deep, as an array with their lengths.

    Raises ValueError for values that are no such lists, or that the type does not hold.
    """
    sizes = [0] * axes
    _measure(rows, sizes, 0)
    array = np.zeros(sizes, dtype)
    lengths = np.full(sizes[:-1], -1, np.int64)
    _put(rows, array, lengths)
    return array, lengths.reshape(-1, 1) if axes == 2 else lengths


def trimmed(array: Array, lengths: Array) -> Array:
    """Return an array without what the lists of other requests filled up at its end."""
    longest = max(0, int(lengths.max())) if lengths.size else 0
    return array[..., :longest]


def _measure(value: Any, sizes: list[int], axis: int) -> None:
    if axis == len(sizes) or (axis and value is None):
        return
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        raise ValueError("an output that is declared as lists holds something else")
    sizes[axis] = max(sizes[axis], len(value))
    for one in value:
        _measure(one, sizes, axis + 1)


def _put(value: Any, array: Array, lengths: Array) -> None:
    if value is None:
        return
    if array.ndim == 1:
        lengths[...] = len(value)
        if len(value):
            given = np.asarray(value)
            cast = given.astype(array.dtype)
            if array.dtype.kind != "f" and not np.array_equal(cast, given):
                message = f"an output is of {given.dtype}, declared as {array.dtype}"
                raise ValueError(message)
            array[: len(value)] = cast
        return
    for index, one in enumerate(value):
        _put(one, array[index], lengths[index : index + 1].reshape(lengths.shape[1:]))
