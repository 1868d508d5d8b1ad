"""What a Python function returned, as arrays that keep its names and types.

Written apart from the code that serves the model, so that a mistake there has no twin here.
Syntax for Python 3.8.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Declared = dict[str, dict[str, Any]]

MISSING = ".missing"
LENGTHS = ".lengths"
UNNAMED = "output"
_NUMBERS = (bool, np.bool_, int, float, np.number)


def read(result: Any, declared: Declared | None = None) -> Iterator[tuple[str, Array]]:
    """Yield the name and array of each part of a result, and where its values are missing.

    `declared` are the outputs of the signature in order: `datatype` and `shape` by name.
    """
    known = declared or {}
    parts = list(_parts(result, known))
    by_name = any(name in known for name, _ in parts)
    in_order = [] if by_name or len(parts) > len(known) else list(known.values())
    for position, (name, value) in enumerate(parts):
        form = in_order[position] if in_order else known.get(name, {})
        if form.get("lists"):
            array, lengths = _read_lists(value, len(form["shape"]))
            yield name, array
            yield name + LENGTHS, lengths
            continue
        array, missing = _read(value, form.get("datatype"), form.get("shape"))
        yield name, array
        if missing is not None:
            yield name + MISSING, missing


def _read_lists(value: Any, depth: int) -> tuple[Array, Array]:
    """Return nested lists filled up to the longest of each level, and the lengths of the inmost.

    A list that is not there has the length -1.
    """
    numbers: dict[tuple[int, ...], Any] = {}
    lengths: dict[tuple[int, ...], int] = {}
    longest = [0] * depth

    def walk(part: Any, place: tuple[int, ...]) -> None:
        if len(place) == depth:
            numbers[place] = part
            return
        if place and _is_one(part):
            return
        longest[len(place)] = max(longest[len(place)], len(part))
        if len(place) == depth - 1:
            lengths[place] = len(part)
        for index, each in enumerate(part):
            walk(each, (*place, index))

    walk(list(value), ())
    kinds = {np.asarray(number).dtype for number in numbers.values()}
    array = np.zeros(longest, np.result_type(*kinds) if kinds else float)
    for place, number in numbers.items():
        array[place] = number
    told = np.full(longest[:-1], -1, np.int64)
    for place, length in lengths.items():
        told[place] = length
    return array, told.reshape(-1, 1) if depth == 2 else told


def _parts(result: Any, declared: Declared) -> Iterator[tuple[str, Any]]:
    if hasattr(result, "__next__"):  # of a `predict` that yields
        result = list(result)
    if hasattr(result, "iloc") and hasattr(result, "columns"):
        for position, label in enumerate(result.columns):
            yield str(label), result.iloc[:, position]
    elif isinstance(result, dict):
        is_record = any(_is_one(value) for value in result.values())
        for label, value in result.items():
            yield str(label), [value] if is_record else value
    elif _are_records(result, declared):
        for label in {str(label): None for record in result for label in record}:
            yield label, [{str(k): v for k, v in record.items()}.get(label) for record in result]
    elif isinstance(result, tuple):
        for position, value in enumerate(result):
            yield str(position), value
    else:
        yield UNNAMED, result.toarray() if hasattr(result, "toarray") else result


def _are_records(result: Any, declared: Declared) -> bool:
    """Return whether a list holds the rows of a table that the signature has."""
    if not isinstance(result, list) or not all(isinstance(one, dict) for one in result):
        return False
    return any(str(label) in declared for record in result for label in record)


def _is_one(value: Any) -> bool:
    """Return whether a value is a single one, and none per row."""
    if isinstance(value, (str, bytes, dict)) or value is None:
        return True
    return not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0


def _read(value: Any, datatype: str | None, sizes: list[int] | None) -> tuple[Array, Array | None]:
    """Return an array that a protocol of plain tensors can carry, and where it has no value."""
    if hasattr(value, "isna") and hasattr(value, "dtype"):  # a column or an index of pandas
        value = _of_pandas(value)
    if _is_one(value):
        value = [value]
    if datatype == "BYTES":
        return _read_text(value, sizes)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value, None
    found = _read_numbers(value, datatype or "")
    return _read_text(value, sizes) if found is None else found


def _of_pandas(column: Any) -> Any:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return np.asarray(column)
    gone = np.asarray(column.isna())
    return [None if empty else one for one, empty in zip(list(column), gone)]  # noqa: B905


def _read_numbers(value: Any, datatype: str = "") -> tuple[Array, Array | None] | None:
    """Return numbers, or equally long lists of them, as one array; None for anything else."""
    try:
        array = np.asarray(list(value) if isinstance(value, np.ndarray) else value)
    except ValueError:
        return None
    if array.dtype.kind in "biuf":
        return array, None
    elements = array.ravel().tolist()
    there = [one for one in elements if one is not None]
    if array.dtype != object or not all(isinstance(one, _NUMBERS) for one in there):
        return None
    for kinds, zero in (((bool, np.bool_), False), ((int, np.integer), 0)):
        declared = datatype == "BOOL" if zero is False else "INT" in datatype
        if (there or declared) and all(isinstance(one, kinds) for one in there):
            gone = np.array([one is None for one in elements]).reshape(array.shape)
            whole = [zero if one is None else one for one in elements]
            return np.array(whole).reshape(array.shape), gone
    floats = [np.nan if one is None else float(one) for one in elements]
    return np.array(floats, dtype=float).reshape(array.shape), None


def _read_text(value: Any, sizes: list[int] | None) -> tuple[Array, Array | None]:
    """Return text, and lists of it as further axes where they are equally long and declared."""
    if isinstance(value, np.ndarray) and sizes is not None and value.ndim == len(sizes):
        sizes = list(value.shape)
    elements, shape = list(value), [len(value)]
    while elements and all(isinstance(one, (list, tuple, np.ndarray)) for one in elements):
        lengths = {len(one) for one in elements if np.ndim(one)}
        wanted = sizes[len(shape)] if sizes is not None and len(shape) < len(sizes) else None
        if len(lengths) != 1 or (sizes is not None and wanted not in {-1, *lengths}):
            break
        shape.append(lengths.pop())
        elements = [inner for one in elements for inner in one]
    gone = [_is_gone(element) for element in elements]
    array = np.empty(len(elements), dtype=object)
    for position, element in enumerate(elements):
        array[position] = b"" if gone[position] else _to_bytes(element)
    return array.reshape(shape), np.array(gone).reshape(shape) if any(gone) else None


def _is_gone(element: Any) -> bool:
    if isinstance(element, (float, np.floating, np.datetime64, np.timedelta64)):
        return bool(element != element)  # noqa: PLR0124 - true of NaN and NaT alone
    return element is None or type(element).__name__ in {"NAType", "NaTType"}


def _to_bytes(element: Any) -> bytes:
    if isinstance(element, (bytes, bytearray)):
        return bytes(element)
    time = _to_time(element)
    if time is not None:
        return time.encode("utf-8")
    if isinstance(element, (dict, list, tuple, np.ndarray)) or _fields(element) is not None:
        return json.dumps(element, default=to_plain, ensure_ascii=False).encode("utf-8")
    return str(element).encode("utf-8")


def _to_time(element: Any) -> str | None:
    """Return a date, a time or a duration as ISO 8601; None for anything else."""
    import pandas as pd

    if isinstance(element, (np.timedelta64, datetime.timedelta)):
        return str(pd.Timedelta(element).isoformat())
    if isinstance(element, np.datetime64):
        return str(pd.Timestamp(element).isoformat())
    return str(element.isoformat()) if hasattr(element, "isoformat") else None


def _fields(value: Any) -> Any:
    """Return an object of pydantic or a dataclass as a mapping; None for anything else."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    is_object = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if is_object else None


def to_plain(value: Any) -> Any:
    """Return what JSON has for an object."""
    fields = _fields(value)
    if fields is not None:
        return fields
    time = _to_time(value)
    if time is not None:
        return time
    return value.tolist() if hasattr(value, "tolist") else str(value)
