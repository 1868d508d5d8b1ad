"""Rows at which an estimator is about to change its answer: a tie.

A tree of ONNX compares in FP32, the original often in FP64: a value at a threshold may fall on
either side. That is a tie only if the original, asked one float32 step beside the value, gives what
the converted model gives. Syntax for Python 3.8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx_parity import close, off
from sklearn_cases import stepped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

_MOST_COLUMNS = 200
"""Columns that are moved one by one."""


def explained(
    call: Callable[[Arrays], Arrays],
    request: Arrays,
    expected: Arrays,
    got: Arrays,
    tolerances: dict[str, float],
) -> Array:
    """Return which rows are ties."""
    tied = _even(expected, got, tolerances)
    for moved in _nudged(request):
        if tied.all():
            break
        with contextlib.suppress(Exception):  # it may refuse what is beside the value
            tied |= _agree(call(moved), got, tolerances)
    return tied


def _nudged(request: Arrays) -> Iterator[Arrays]:
    """Yield requests with all floats one step aside, and with each column alone."""
    floats = [name for name, array in request.items() if array.dtype.kind == "f"]
    for step in (-1, 1):
        everything = {name: stepped(request[name], step) for name in floats}
        yield {**_copied(request), **everything}
    columns = [
        (name, place)
        for name in floats
        for place in range(request[name].shape[1] if request[name].ndim > 1 else 1)
    ]
    for name, place in columns[:_MOST_COLUMNS]:
        for step in (-1, 1):
            moved = _copied(request)
            at = (Ellipsis, place) if moved[name].ndim > 1 else Ellipsis
            moved[name][at] = stepped(moved[name][at], step)
            yield moved


def _copied(request: Arrays) -> Arrays:
    return {name: array.copy() for name, array in request.items()}


def _agree(answer: Arrays, got: Arrays, tolerances: dict[str, float]) -> Array:
    """Return the rows of which all outputs are as close as is allowed."""
    rows = len(next(iter(got.values())))
    agreeing = np.ones(rows, dtype=bool)
    for name, array in got.items():
        right = off(answer[name], array) <= tolerances[name]
        agreeing &= right.reshape(rows, -1).all(axis=1)
    return agreeing


def _even(expected: Arrays, got: Arrays, tolerances: dict[str, float]) -> Array:
    """Return the rows where labels alone differ, and the original's two best scores do not."""
    rows = len(next(iter(got.values())))
    scores = [name for name, array in expected.items() if array.dtype.kind == "f"]
    even = np.zeros(rows, dtype=bool)
    for name in scores:
        if expected[name].ndim == 2 and expected[name].shape[1] > 1:
            even |= close(expected[name], tolerances[name])
    right = [
        (off(expected[name], got[name]) <= tolerances[name]).reshape(rows, -1).all(axis=1)
        for name in scores
    ]
    return even & np.logical_and.reduce(right) if right else even
