"""Lists of unequal length in the rows of a column, on the way in and out.

An array has one size along each axis. So shorter lists are filled up, and the INT64 tensor
`NAME.lengths` says how many values each has; -1 where there is no list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cloche.artifacts.model import LENGTHS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cloche.artifacts import TensorSpec

    Array = NDArray[Any]

_FILLERS = {"BYTES": "", "BOOL": False}


def lengths_of(specs: Sequence[TensorSpec]) -> dict[str, TensorSpec]:
    """Return the tensors of lengths by the name of the tensor with the lists."""
    return {
        spec.marks: spec
        for spec in specs
        if spec.marks is not None and spec.name == spec.marks + LENGTHS
    }


def marks_of(specs: Sequence[TensorSpec]) -> dict[str, TensorSpec]:
    """Return the marks of missing values by the name of the tensor that misses them."""
    lengths = {spec.name for spec in lengths_of(specs).values()}
    return {
        spec.marks: spec for spec in specs if spec.marks is not None and spec.name not in lengths
    }


def padded(tensor: TensorSpec, value: Any) -> tuple[Any, Array | None]:
    """Return rows of lists with equal lengths, and how long each was; None if they are equal.

    What is no list of lists as deep as the tensor stays as it is: its error comes later.
    """
    rank = len(tensor.shape)
    rows = _plain(value)
    if not isinstance(rows, list):
        return value, None
    sizes: list[set[int]] = [set() for _ in range(rank)]
    if not _measure(rows, rank, sizes):
        rows, sizes = [rows], [set() for _ in range(rank)]
        if not _measure(rows, rank, sizes):
            return value, None
    if all(len(level) == 1 and -1 not in level for level in sizes):
        return value, None
    shape = [max([0, *level]) for level in sizes]
    filler = "null" if tensor.holds == "json" else _FILLERS.get(tensor.datatype, 0)
    full = np.full(shape, None, dtype=object)
    full[...] = filler
    lengths = np.full(shape[:-1], -1, np.int64)
    _fill(rows, full, lengths)
    return full.tolist(), lengths.reshape(-1, 1) if rank == 2 else lengths


def with_lists(outputs: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Return outputs with lists of their own lengths where these differ, and without lengths."""
    result = dict(outputs)
    for of, spec in lengths_of(specs).items():
        lengths = result.pop(spec.name, None)
        if lengths is None or of not in result:
            continue
        array = result[of]
        lengths = lengths.reshape(array.shape[:-1])
        if not array.size or (lengths == array.shape[-1]).all():
            continue
        rows = np.empty(len(array), dtype=object)
        rows[:] = [_cut(row, length) for row, length in zip(array, lengths, strict=True)]
        result[of] = rows
    return result


def _plain(value: Any) -> Any:
    """Return lists in place of arrays and tuples; an array of numbers is never unequal."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value] if value.dtype == object and value.ndim else value
    return list(value) if isinstance(value, tuple) else value


def _measure(value: Any, depth: int, sizes: list[set[int]]) -> bool:
    """Note the lengths of lists by level; return whether there are lists down to a depth."""
    level = len(sizes) - depth
    if not depth:
        return True
    if level and _is_gap(value):
        sizes[level].add(-1)
        return True
    if isinstance(value, np.ndarray):
        value = list(value) if value.ndim else value
    if not isinstance(value, (list, tuple)):
        return False
    sizes[level].add(len(value))
    return all(_measure(one, depth - 1, sizes) for one in value)


def _is_gap(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN


def _fill(value: Any, full: Array, lengths: Array) -> None:
    if _is_gap(value):
        return
    if full.ndim == 1:
        lengths[...] = len(value)
        for index, one in enumerate(value):
            full[index] = one.item() if isinstance(one, np.generic) else one
        return
    for index, one in enumerate(value):
        _fill(one, full[index], lengths[index : index + 1].reshape(lengths.shape[1:]))


def _cut(row: Array, lengths: Any) -> Any:
    if np.ndim(lengths) == 0:
        return None if lengths < 0 else row[: int(lengths)].tolist()
    cut = [_cut(one, length) for one, length in zip(row, lengths, strict=True)]
    return [one for one in cut if one is not None]
