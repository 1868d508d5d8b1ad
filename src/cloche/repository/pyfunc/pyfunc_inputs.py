"""From the tensors of a request to what `predict` of an MLflow model takes.

A column is a tensor named like it, with one value per row. Text is UTF-8, dates are ISO 8601,
structured values are JSON. Where the signature lets a column miss values, the optional BOOL tensor
`COLUMN.missing` is true for each row without a value; what the column's own tensor has there does
not count. Floats miss values as NaN. Imports nothing of Cloche. Syntax for Python 3.8.
"""

# Before Python 3.10 zip() knows no strict.
# ruff: noqa: B905

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyfunc_lists
from pyfunc_categories import categories
from pyfunc_parameters import Parameters, WrongInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

UNNAMED = "input"
MISSING, LENGTHS = ".missing", ".lengths"


class Inputs:
    """How input tensors become what the model's `predict` takes."""

    def __init__(self, inputs: list[dict[str, Any]], loaded: Any) -> None:
        """Read the model's own schema; without one its saved input example decides."""
        metadata = loaded.metadata
        schema = metadata.get_input_schema()
        own = _own_names(schema)
        names = [one["name"] for one in inputs]
        self._marks = {name + end for name in names for end in (MISSING, LENGTHS)} - own
        self._inputs = [one for one in inputs if one["name"] not in self._marks]
        ordered = [one["name"] for one in self._inputs]
        self._types: dict[str, Any] = {}
        self._labels: dict[str, Any] = {name: name for name in ordered}
        if schema is None:
            example = getattr(metadata, "saved_input_example_info", None) or {}
            self._columns = example.get("type") == "dataframe"
            self._named = self._columns or ordered != [UNNAMED]
        else:
            self._columns = not schema.is_tensor_spec()
            self._named = schema.has_input_names()
            self._types = dict(zip(ordered, schema.input_types()))
            if self._named:
                self._labels = dict(zip(ordered, schema.input_names()))
        self._from_type_hint = _is_from_type_hint(metadata)
        self._parameters = Parameters(metadata)
        self._categories = (
            categories(loaded, list(self._labels.values()), self._text_columns())
            if self._columns
            else {}
        )
        # MLflow's schema has no name for categories: the flavor's own wrapper takes them.
        self.predict = loaded._model_impl.predict if self._categories else loaded.predict

    def _text_columns(self) -> list[Any]:
        kinds = {name: getattr(kind, "name", "") for name, kind in self._types.items()}
        return [self._labels[name] for name, kind in kinds.items() if kind == "string"]

    def read(self, request: Any) -> tuple[Arrays, str]:
        """Return the tensors of a request, strings as text, and its parameters as JSON.

        WrongInput names a tensor or a parameter that is none of the model's.
        """
        arrays = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        for one in self._inputs:
            # Triton counts only, where some inputs are optional.
            if one["name"] not in arrays and not one.get("optional"):
                message = f"the input {one['name']} is missing; it is {one['data_type'][5:]}"
                raise WrongInput(message)
        return self.decoded(arrays), self._parameters.read(request)

    def decoded(self, arrays: Arrays) -> Arrays:
        """Return tensors with text in place of its UTF-8."""
        return {
            name: array if self._holds_bytes(name) else _text(name, array)
            for name, array in arrays.items()
        }

    def make(self, arrays: Arrays) -> Any:
        """Return a DataFrame, a list, an array or a dict of arrays; WrongInput names the input."""
        if self._columns:
            return self._table(arrays)
        typed = {
            self._labels[one["name"]]: self._typed(one["name"], arrays[one["name"]])
            for one in self._inputs
            if one["name"] in arrays
        }
        return typed if self._named else next(iter(typed.values()))

    def _holds_bytes(self, name: str) -> bool:
        declared = self._types.get(name)
        return getattr(declared, "name", None) == "binary" or getattr(declared, "kind", "") == "S"

    def _typed(self, name: str, array: Array) -> Array:
        """Return text in the numpy type that the signature asks for, which BYTES stands for."""
        kind = getattr(self._types.get(name), "kind", "O")
        if kind == "M" and array.dtype.kind == "O":
            return np.array(_times(name, array.reshape(-1)), dtype="M8[ns]").reshape(array.shape)
        return array.astype(kind) if array.dtype.kind == "O" and kind in "US" else array

    def _table(self, arrays: Arrays) -> Any:
        import pandas as pd

        columns = {}
        for one in self._inputs:
            name = one["name"]
            if name in arrays:
                lengths = arrays.get(name + LENGTHS) if name + LENGTHS in self._marks else None
                column = self._column(name, arrays[name], lengths)
                mark = name + MISSING
                missing = arrays.get(mark) if mark in self._marks else None
                columns[self._labels[name]] = _without(column, missing)
        if self._from_type_hint and not self._named:
            return next(iter(columns.values())).tolist()
        frame = pd.DataFrame(columns)
        for label, kind in self._categories.items():
            frame[label] = frame[label].astype(kind)
        if not self._named:
            frame.columns = pd.RangeIndex(len(frame.columns))
        return frame

    def _column(self, name: str, array: Array, lengths: Array | None) -> Any:
        """Return one value per row as a Series."""
        import pandas as pd

        declared = self._types.get(name)
        if type(declared).__name__ == "Array" and array.ndim > 1:
            if lengths is None:
                return pd.Series(self._lists(name, declared, array), dtype=object)
            rows = pyfunc_lists.cut(array, lengths)
            return pd.Series([self._list(name, declared, row) for row in rows], dtype=object)
        flat = array.reshape(-1)
        if getattr(declared, "name", None) == "datetime":
            return pd.Series(_times(name, flat))
        if _is_structure(declared):
            return pd.Series([_parsed(name, text) for text in flat], dtype=object)
        return pd.Series(flat)

    def _list(self, name: str, declared: Any, row: Any) -> Any:
        """Return one row of a column of lists of unequal length; None is no list."""
        inner = declared.dtype
        if row is None:
            return None
        if type(inner).__name__ == "Array":
            return [self._list(name, inner, one) for one in row]
        return self._lists(name, declared, np.asarray(row)[None])[0]

    def _lists(self, name: str, declared: Any, array: Array) -> list[Any]:
        """Return the rows of a column of lists; a type hint wants lists, MLflow else arrays."""
        inner = declared
        while type(inner).__name__ == "Array":
            inner = inner.dtype
        if _is_structure(inner):
            array = _each(array, [_parsed(name, text) for text in array.reshape(-1)])
        elif getattr(inner, "name", None) == "datetime":
            array = _each(array, list(_times(name, array.reshape(-1))))
        plain = self._from_type_hint or array.dtype.kind == "O"
        return [row.tolist() if plain else row for row in array]


def _own_names(schema: Any) -> set[str]:
    """Return the names that the signature itself has; a column may be called like a mark."""
    named = schema is not None and schema.has_input_names()
    return {str(name) for name in schema.input_names()} if named else set()


def _is_structure(declared: Any) -> bool:
    """Return whether a type of MLflow is one whose values travel as JSON."""
    return type(declared).__name__ in {"Object", "Map", "AnyType"}


def _each(array: Array, values: list[Any]) -> Array:
    """Return an array of objects in the shape of another."""
    objects = np.empty(array.size, dtype=object)
    for index, value in enumerate(values):
        objects[index] = value
    return objects.reshape(array.shape)


def _without(column: Any, missing: Array | None) -> Any:
    """Return a column without the values that are marked as missing.

    pandas chooses how a column says so, as where MLflow reads null in a request's JSON.
    """
    import pandas as pd

    if missing is None or not missing.any():
        return column
    marked = missing.reshape(-1).astype(bool)
    if column.dtype.kind == "M":
        return column.where(~marked)
    return pd.Series([None if gone else one for one, gone in zip(column.tolist(), marked)])


def _is_from_type_hint(metadata: Any) -> bool:
    asked = getattr(metadata, "_is_signature_from_type_hint", None)
    return bool(asked()) if asked is not None else False


def _text(name: str, array: Array) -> Array:
    """Return an array of bytes as one of text; other arrays as they are."""
    if array.dtype.kind not in "OS":
        return array
    try:
        text = [element.decode("utf-8") for element in array.reshape(-1)]
    except UnicodeDecodeError:
        message = f"the input {name} holds bytes that are not UTF-8 text"
        raise WrongInput(message) from None
    decoded = np.empty(len(text), dtype=object)
    decoded[:] = text
    return decoded.reshape(array.shape)


def _times(name: str, text: Array) -> Any:
    """Return times; an empty text is none."""
    import pandas as pd

    # pandas 2 takes the format of the first for that of all unless it is told; pandas 1 does not.
    how: dict[str, Any] = {} if pd.__version__.startswith(("0.", "1.")) else {"format": "ISO8601"}
    try:
        return pd.to_datetime(pd.Series([one or None for one in text]), **how)
    except (ValueError, TypeError) as error:
        message = f"the input {name} takes times such as 2026-01-31T12:00:00 ({error})"
        raise WrongInput(message) from None


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"the input {name} takes JSON ({error})"
        raise WrongInput(message) from None
