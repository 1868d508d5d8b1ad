"""From what `predict` of an MLflow model returns to the tensors of an answer.

Outputs go by name where any name fits, and by position only where none does. Text is UTF-8, dates
are ISO 8601, structured values are JSON. A value that is missing in a column that is not of floats
is marked in the BOOL tensor `COLUMN.missing`. Imports nothing of Cloche. Syntax for Python 3.8.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

DTYPES = {
    "TYPE_BOOL": "bool", "TYPE_UINT8": "uint8", "TYPE_UINT16": "uint16", "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64", "TYPE_INT8": "int8", "TYPE_INT16": "int16", "TYPE_INT32": "int32",
    "TYPE_INT64": "int64", "TYPE_FP16": "float16", "TYPE_FP32": "float32", "TYPE_FP64": "float64",
}  # fmt: skip
STRINGS = "TYPE_STRING"
MISSING = ".missing"


class Outputs:
    """How what the model returns becomes the declared outputs."""

    def __init__(self, outputs: list[dict[str, Any]], batches: bool) -> None:
        """Take the outputs of the configuration in order."""
        names = {one["name"] for one in outputs}
        marks = {name + MISSING for name in names} & names
        self._marks = marks
        self._outputs = [one for one in outputs if one["name"] not in marks]
        self._batches = batches

    def read(self, result: Any, rows: int) -> Arrays:
        """Return the declared outputs by name.

        Raises ValueError for a name, type, shape or number of rows that was not declared.
        """
        arrays = {}
        for one, value in self._assigned(_found(result)):
            array, missing = _encoded(one, value)
            mark = one["name"] + MISSING
            if mark in self._marks:
                none = np.zeros(array.shape, bool) if missing is None else missing
                arrays[mark] = self._shaped(one, none)
            elif missing is not None and missing.any():
                message = f"the output {one['name']} misses a value, which was not declared"
                raise ValueError(message)
            arrays[one["name"]] = self._shaped(one, array)
        for name, array in arrays.items():
            if self._batches and len(array) != rows:
                message = f"the output {name} has {len(array)} rows for {rows} rows of input"
                raise ValueError(message)
        return arrays

    def _assigned(self, found: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
        """Return each declared output with its value."""
        wanted = [one["name"] for one in self._outputs]
        if len(wanted) == 1 and len(found) > 1 and wanted[0] not in found:
            return [(self._outputs[0], np.column_stack(list(found.values())))]
        absent = [name for name in wanted if name not in found]
        if not absent:
            return [(one, found[one["name"]]) for one in self._outputs]
        if len(absent) < len(wanted) or len(found) < len(wanted):
            message = f"the model returned {', '.join(found)}, and not {', '.join(absent)}"
            raise ValueError(message)
        # Before Python 3.10 zip() knows no strict.
        return list(zip(self._outputs, found.values()))  # noqa: B905

    def _shaped(self, output: dict[str, Any], array: Array) -> Array:
        """Add or drop a last axis of 1, which a column and a list of values differ by."""
        dims = output["reshape"].get("shape", []) if "reshape" in output else output["dims"]
        rank = len(dims) + (1 if self._batches else 0)
        if array.ndim == rank - 1:
            return array[..., None]
        if array.ndim == rank + 1 and array.shape[-1] == 1:
            return array[..., 0]
        if array.ndim != rank:
            message = f"the output {output['name']} has the shape {list(array.shape)}, not {dims}"
            raise ValueError(message)
        return array


def _found(result: Any) -> dict[str, Any]:
    """Return what the model returned by name; an array or a list has the name `output`."""
    if hasattr(result, "columns"):
        return {str(name): result[name].to_numpy() for name in result.columns}
    if isinstance(result, dict):
        return {str(name): value for name, value in result.items()}
    if isinstance(result, tuple):
        return {str(index): value for index, value in enumerate(result)}
    if hasattr(result, "toarray"):
        return {"output": result.toarray()}
    return {"output": result.to_numpy() if hasattr(result, "to_numpy") else result}


def _encoded(output: dict[str, Any], value: Any) -> tuple[Array, Array | None]:
    """Return a value in the declared type, and where it is missing.

    Raises ValueError where the declared type would lose something.
    """
    strings = output["data_type"] == STRINGS
    array = _array(value, len(output["dims"]) + 1 if strings else None)
    if strings:
        return _strings(array)
    wanted = np.dtype(DTYPES[output["data_type"]])
    if array.dtype == object:
        array = _numbers(array)
    if array.dtype == wanted:
        return array, None
    missing = None
    if wanted.kind in "iub" and array.dtype.kind == "f" and np.isnan(array).any():
        missing = np.isnan(array)
        array = np.where(missing, 0, array)
    try:
        with np.errstate(all="ignore"):
            cast = array.astype(wanted)
        lossless = array.dtype.kind in "biuf" and (
            wanted.kind == "f" or np.array_equal(cast, array)
        )
    except (TypeError, ValueError):
        lossless = False
    if not lossless:
        message = f"the output {output['name']} is of {array.dtype}, declared as {wanted}"
        raise ValueError(message)
    return cast, missing


def _array(value: Any, deepest: int | None) -> Array:
    """Return a value as an array; lists of unlike things, mappings and text are objects.

    Text and structures have at most `deepest` axes: what is deeper is one value.
    """
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    elements = list(value) if isinstance(value, (list, tuple, np.ndarray)) else None
    if elements is None:
        return np.asarray(value)
    text = deepest is not None
    structured = any(
        isinstance(one, dict) or one is None or (text and _is_missing(one)) for one in elements
    )
    if not structured:
        try:
            array = np.asarray(elements)
        except ValueError:  # ragged
            structured = True
        else:
            if deepest is None or array.ndim <= deepest:
                return array
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def _numbers(array: Array) -> Array:
    """Return an array of objects as numbers: rows of equal lists, or numbers with gaps."""
    if array.size and all(isinstance(one, (list, tuple, np.ndarray)) for one in array.reshape(-1)):
        return np.stack([np.asarray(one) for one in array.reshape(-1)])
    if all(isinstance(one, (bool, np.bool_)) for one in array.reshape(-1)):
        return array.astype(bool)
    try:
        filled = [np.nan if _is_missing(one) else one for one in array.reshape(-1)]
        return np.asarray(filled).reshape(array.shape)
    except (TypeError, ValueError):
        return array


def _strings(array: Array) -> tuple[Array, Array | None]:
    encoded = np.empty(array.size, dtype=object)
    flat = [] if array.size == 0 else list(array.reshape(-1))
    missing = np.array([_is_missing(one) for one in flat], dtype=bool)
    encoded[:] = [b"" if gone else _bytes(one) for one, gone in zip(flat, missing)]  # noqa: B905
    return encoded.reshape(array.shape), missing.reshape(array.shape) if missing.any() else None


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return isinstance(value, np.datetime64) and bool(np.isnat(value))


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8")
    return _written(value).encode("utf-8")


def _written(value: Any) -> str:
    """Return a date as ISO 8601, a structure as JSON, anything else as its text."""
    if isinstance(value, np.datetime64):
        import pandas as pd

        return str(pd.Timestamp(value).isoformat())
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, (dict, list, tuple, np.ndarray)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return value.tolist() if hasattr(value, "tolist") else _written(value)
