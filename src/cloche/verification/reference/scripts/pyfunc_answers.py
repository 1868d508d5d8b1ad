"""What a Python function returned, as arrays that keep its names and types.

Written apart from the code that serves the model, so that a mistake there has no twin here.
Syntax for Python 3.8.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

MISSING = ".missing"
UNNAMED = "output"


def read(result: Any) -> Iterator[tuple[str, Array]]:
    """Yield the name and array of each part of a result, and where its values are missing."""
    for name, value in _parts(result):
        array, missing = _read(value)
        yield name, array
        if missing is not None:
            yield name + MISSING, missing


def _parts(result: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(result, "iloc") and hasattr(result, "columns"):
        for position, label in enumerate(result.columns):
            yield str(label), result.iloc[:, position]
    elif isinstance(result, dict):
        for label, value in result.items():
            yield str(label), value
    elif isinstance(result, tuple):
        for position, value in enumerate(result):
            yield str(position), value
    else:
        yield UNNAMED, result.toarray() if hasattr(result, "toarray") else result


def _read(value: Any) -> tuple[Array, Array | None]:
    """Return an array that a protocol of plain tensors can carry, and where it has no value."""
    if hasattr(value, "isna") and hasattr(value, "dtype"):  # a pandas column
        return _read_column(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value, None
    if isinstance(value, np.ndarray) and value.dtype.kind in "SUM":
        return _read_elements(list(value.ravel()), value.shape)
    if isinstance(value, (list, tuple, np.ndarray)):
        plain = _read_numbers(value)
        if plain is not None:
            return plain, None
        elements = list(value)
        return _read_elements(elements, (len(elements),))
    plain = np.asarray(value)
    return (plain, None) if plain.dtype.kind in "biuf" else _read_elements([value], ())


def _read_column(column: Any) -> tuple[Array, Array | None]:
    gone = column.isna().to_numpy()
    kind = getattr(column.dtype, "kind", "O")
    if kind in "biuf" and str(column.dtype) == str(column.dtype).lower():
        return column.to_numpy(), None
    if kind in "biuf":  # a nullable type of pandas
        numbers = column.fillna(0).to_numpy(dtype=str(column.dtype).lower().replace("boolean", "?"))
        return numbers, gone if gone.any() else None
    plain = None if gone.any() else _read_numbers(list(column))
    if plain is not None:
        return plain, None
    return _read_elements(list(column), (len(column),))


def _read_numbers(value: Any) -> Array | None:
    """Return numbers, or equally long lists of them, as one array; None for anything else."""
    try:
        array = np.asarray(list(value) if isinstance(value, np.ndarray) else value)
    except ValueError:
        return None
    if array.dtype == object and array.size:
        floats = [np.nan if one is None else one for one in array.ravel()]
        if all(isinstance(one, (int, float, np.number)) for one in floats):
            return np.array(floats).reshape(array.shape)
    return array if array.dtype.kind in "biuf" else None


def _read_elements(elements: list[Any], shape: tuple[int, ...]) -> tuple[Array, Array | None]:
    gone = [_is_gone(element) for element in elements]
    array = np.empty(len(elements), dtype=object)
    for position, element in enumerate(elements):
        array[position] = b"" if gone[position] else _to_bytes(element)
    missing = np.array(gone).reshape(shape) if any(gone) else None
    return array.reshape(shape), missing


def _is_gone(element: Any) -> bool:
    if isinstance(element, (str, bytes, dict, list, tuple, np.ndarray)):
        return False
    return element is None or element != element or str(element) in {"<NA>", "NaT"}  # noqa: PLR0124


def _to_bytes(element: Any) -> bytes:
    if isinstance(element, (bytes, bytearray)):
        return bytes(element)
    if isinstance(element, np.datetime64):
        import pandas as pd

        element = pd.Timestamp(element)
    if hasattr(element, "isoformat"):
        return str(element.isoformat()).encode("utf-8")
    if isinstance(element, (dict, list, tuple, np.ndarray)):
        return json.dumps(element, default=_to_plain, ensure_ascii=False).encode("utf-8")
    return str(element).encode("utf-8")


def _to_plain(value: Any) -> Any:
    for method in ("model_dump", "tolist", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    return str(value)
