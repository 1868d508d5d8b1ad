"""From what `predict` of an MLflow model returns to the tensors of an answer.

Outputs go by name where any name fits, and by position only where none does. Text is UTF-8, dates
are ISO 8601, structured values are JSON. A value that is missing in a column that is not of floats
is marked in the BOOL tensor `COLUMN.missing`. Imports nothing of Cloche. Syntax for Python 3.8.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyfunc_lists

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
MISSING, LENGTHS = ".missing", ".lengths"
CONVERSATIONS = {"chat_model", "chat_agent", "responses_agent"}
"""The modules of mlflow.pyfunc.loaders that answer one conversation per request."""


class Outputs:
    """How what the model returns becomes the declared outputs."""

    def __init__(self, outputs: list[dict[str, Any]], batches: bool, loaded: Any = None) -> None:
        """Take the outputs of the configuration in order, and the loaded model."""
        names = {one["name"] for one in outputs}
        marks = {name + end for name in names for end in (MISSING, LENGTHS)} & names
        self._marks = marks
        self._outputs = [one for one in outputs if one["name"] not in marks]
        self._batches = batches
        schema = None if loaded is None else loaded.metadata.get_output_schema()
        declared = [] if schema is None else schema.inputs
        self._whole = len(declared) == 1 and not declared[0].name and _is_structure(declared[0])
        # The schema of a conversation is that of MLflow's protocol; an answer leaves parts out.
        protocol = getattr(loaded, "loader_module", "").rpartition(".")[2] in CONVERSATIONS
        self._optional = {
            str(one.name) for one in declared if protocol or not getattr(one, "required", True)
        }

    def read(self, result: Any, rows: int) -> Arrays:
        """Return the declared outputs by name.

        Raises ValueError for a name, type, shape or number of rows that was not declared.
        """
        arrays = {}
        names = [one["name"] for one in self._outputs]
        found = {names[0]: [result]} if self._is_whole(result) else _found(result, names)
        for one, value in self._assigned(found):
            if one["name"] + LENGTHS in self._marks:
                lists = [None if _is_missing(row) else row for row in value]
                dtype, axes = DTYPES[one["data_type"]], len(self._sizes(one))
                filled = pyfunc_lists.fill(lists, axes, dtype)
                arrays[one["name"]], arrays[one["name"] + LENGTHS] = filled
                continue
            array, missing = _encoded(one, value, self._sizes(one))
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

    def alone(self, arrays: Arrays) -> Arrays:
        """Return the answer of one request without what others filled its lists up to."""
        for name in [name for name in arrays if name + LENGTHS in self._marks]:
            arrays[name] = pyfunc_lists.trimmed(arrays[name], arrays[name + LENGTHS])
        return arrays

    def _is_whole(self, result: Any) -> bool:
        """Return whether a mapping is the value of the only output, which has no name."""
        return self._whole and isinstance(result, dict)

    def _assigned(self, found: dict[str, Any]) -> list[tuple[dict[str, Any], Any]]:
        """Return each declared output with its value."""
        wanted = [one["name"] for one in self._outputs]
        if len(wanted) == 1 and len(found) > 1 and wanted[0] not in found:
            return [(self._outputs[0], np.column_stack(list(found.values())))]
        fits = any(name in found for name in wanted)
        absent = [name for name in wanted if name not in found and name not in self._optional]
        if fits and not absent:
            rows = max(map(_rows, found.values()))
            return [(one, found.get(one["name"], [None] * rows)) for one in self._outputs]
        if fits or len(found) < len(wanted):
            message = f"the model returned {', '.join(found)}, and not {', '.join(absent)}"
            raise ValueError(message)
        # Before Python 3.10 zip() knows no strict.
        return list(zip(self._outputs, found.values()))  # noqa: B905

    def _sizes(self, output: dict[str, Any]) -> list[int]:
        """Return the declared sizes of an answer's axes, -1 for any."""
        dims = output["reshape"].get("shape", []) if "reshape" in output else output["dims"]
        return [-1, *dims] if self._batches else list(dims)

    def _shaped(self, output: dict[str, Any], array: Array) -> Array:
        """Add or drop a last axis of 1, which a column and a list of values differ by."""
        dims = self._sizes(output)
        rank = len(dims)
        if array.ndim == rank - 1:
            return array[..., None]
        if array.ndim == rank + 1 and array.shape[-1] == 1:
            return array[..., 0]
        if array.ndim != rank:
            message = f"the output {output['name']} has the shape {list(array.shape)}, not {dims}"
            raise ValueError(message)
        return array


def _rows(value: Any) -> int:
    return 1 if _is_single(value) else len(value)


def _is_structure(spec: Any) -> bool:
    """Return whether a column of MLflow's schema holds values that travel as JSON."""
    return type(getattr(spec, "type", None)).__name__ in {"Object", "Map", "AnyType"}


def _found(result: Any, names: list[str]) -> dict[str, Any]:
    """Return what the model returned by name; an array or a list has the name `output`.

    A mapping with a single value in it is one row, and a list of mappings whose keys are declared
    is a table. A `predict` that yields its answer is asked for all of it.
    """
    if hasattr(result, "__next__"):
        result = list(result)
    if hasattr(result, "columns"):
        columns = [result.iloc[:, index] for index in range(len(result.columns))]
        return {str(name): _plain_column(column) for name, column in zip(result.columns, columns)}  # noqa: B905
    if isinstance(result, dict):
        row = any(_is_single(value) for value in result.values())
        return {str(name): [value] if row else value for name, value in result.items()}
    if isinstance(result, list) and all(isinstance(one, dict) for one in result):
        rows = [{str(key): value for key, value in one.items()} for one in result]
        keys = {key: None for row in rows for key in row}
        if any(name in keys for name in names):
            return {key: [row.get(key) for row in rows] for key in keys}
    if isinstance(result, tuple):
        return {str(index): value for index, value in enumerate(result)}
    if hasattr(result, "toarray"):
        return {"output": result.toarray()}
    return {"output": _plain_column(result) if hasattr(result, "to_numpy") else result}


def _plain_column(column: Any) -> Any:
    """Return a column of pandas as an array, or as a list where only pandas has its type."""
    of_numpy = isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufM"
    return column.to_numpy() if of_numpy else list(column)


def _is_single(value: Any) -> bool:
    """Return whether a value is one, and not one per row."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0
    return isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__")


def _encoded(output: dict[str, Any], value: Any, sizes: list[int]) -> tuple[Array, Array | None]:
    """Return a value in the declared type, and where it is missing.

    Raises ValueError where the declared type would lose something.
    """
    if _is_single(value):
        value = [value]
    if output["data_type"] == STRINGS:
        return _strings(value, sizes)
    wanted = np.dtype(DTYPES[output["data_type"]])
    array = _array(value)
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


def _array(value: Any) -> Array:
    """Return a value as an array; lists of unlike things are objects."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    elements = list(value)
    if not any(one is None for one in elements):
        try:
            return np.asarray(elements)
        except ValueError:  # ragged
            pass
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def _numbers(array: Array) -> Array:
    """Return an array of objects as numbers: rows of equal lists, or numbers with gaps."""
    if array.size and all(isinstance(one, (list, tuple, np.ndarray)) for one in array.reshape(-1)):
        rows = [np.asarray(one) for one in array.reshape(-1)]
        if len({row.shape for row in rows}) > 1:
            raise ValueError("the rows of an output have different lengths, which no tensor holds")
        return np.stack(rows)
    if all(isinstance(one, (bool, np.bool_)) for one in array.reshape(-1)):
        return array.astype(bool)
    try:
        filled = [np.nan if _is_missing(one) else one for one in array.reshape(-1)]
        return np.asarray(filled).reshape(array.shape)
    except (TypeError, ValueError):
        return array


def _strings(value: Any, sizes: list[int]) -> tuple[Array, Array | None]:
    """Return text; lists of equal length are an axis where one of that size is declared."""
    if isinstance(value, np.ndarray) and value.ndim == len(sizes):
        sizes = list(value.shape)  # the columns of a table side by side, as the one output
    shape = [len(value)]
    flat = list(value)
    for wanted in sizes[1:]:
        if not all(isinstance(one, (list, tuple, np.ndarray)) and np.shape(one) for one in flat):
            break
        found = {len(one) for one in flat}
        if len(found) != 1 or (wanted != -1 and wanted not in found):
            break
        shape.extend(found)
        flat = [inner for one in flat for inner in one]
    missing = np.array([_is_missing(one) for one in flat], dtype=bool)
    encoded = np.empty(len(flat), dtype=object)
    encoded[:] = [b"" if gone else _bytes(one) for one, gone in zip(flat, missing)]  # noqa: B905
    return encoded.reshape(shape), missing.reshape(shape) if missing.any() else None


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return isinstance(value, (np.datetime64, np.timedelta64)) and bool(np.isnat(value))


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return (value if isinstance(value, str) else _written(value)).encode("utf-8")


def _written(value: Any) -> str:
    """Return a time as ISO 8601, a structure as JSON, anything else as its text."""
    if isinstance(value, (dict, list, tuple, np.ndarray)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    plain = _plain(value)
    return (
        json.dumps(plain, default=_plain, ensure_ascii=False)
        if isinstance(plain, dict)
        else str(plain)
    )


def _plain(value: Any) -> Any:
    """Return what JSON has for an object: its fields, a time as ISO 8601, else a list or text."""
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump()
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, (np.datetime64, np.timedelta64, timedelta)):
        import pandas as pd

        time = pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value)
        return str(time.isoformat())
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return value.tolist() if hasattr(value, "tolist") else str(value)
