"""Serves an MLflow model as a Python function in Triton's Python backend.

This file is written into the model's repository as it is (`1/model.py`, with the MLflow folder
beside it as `1/model/`), and runs in the model's own environment: it imports nothing of Cloche and
keeps to the syntax of Python 3.8. The model's own code and pickles are loaded here and nowhere
else.

Requests that fit together become one table or array, the model runs once, and its rows are handed
back to the requests they came from. Where a joint run fails each request runs alone, so that only
the one that is wrong gets an error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

DTYPES = {
    "TYPE_BOOL": "bool", "TYPE_UINT8": "uint8", "TYPE_UINT16": "uint16", "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64", "TYPE_INT8": "int8", "TYPE_INT16": "int16", "TYPE_INT32": "int32",
    "TYPE_INT64": "int64", "TYPE_FP16": "float16", "TYPE_FP32": "float32", "TYPE_FP64": "float64",
}  # fmt: skip
STRINGS = "TYPE_STRING"
UNNAMED = "input"


class WrongInput(ValueError):
    """A request's input is not what the model takes; the text says which and what is expected."""


class TritonPythonModel:
    """What the Python backend calls: `initialize` once, `execute` for each batch, `finalize`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model from the folder beside this file."""
        import mlflow.pyfunc

        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"], "model")
        loaded = mlflow.pyfunc.load_model(str(folder))
        self._batches = int(config.get("max_batch_size", 0)) > 0
        self._predict = loaded.predict
        self._argument = Argument(config["input"], loaded.metadata)
        self._outputs = Outputs(config["output"], self._batches)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response per request, an error where its own input is to blame."""
        answers: list[Any] = [None] * len(requests)
        groups: dict[Any, list[tuple[int, Arrays]]] = {}
        for index, request in enumerate(requests):
            try:
                arrays = self._argument.read(request)
            except WrongInput as error:
                answers[index] = error
                continue
            key = _layout(arrays) if self._batches else index
            groups.setdefault(key, []).append((index, arrays))
        for group in groups.values():
            self._answer(group, answers)
        return [_response(answer) for answer in answers]

    def _answer(self, group: list[tuple[int, Arrays]], answers: list[Any]) -> None:
        """Run some requests as one; where that fails, each half of them, down to the one to blame.

        A single request that fails gets the model's own error.
        """
        try:
            joined = _join([arrays for _, arrays in group])
            rows = [len(next(iter(arrays.values()))) if self._batches else 0 for _, arrays in group]
            outputs = self._outputs.read(self._predict(self._argument.make(joined)), sum(rows))
            parts = _split(outputs, rows)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is its answer
            half = len(group) // 2
            if half:
                self._answer(group[:half], answers)
                self._answer(group[half:], answers)
            else:
                answers[group[0][0]] = error
            return
        for (index, _), part in zip(group, parts):  # noqa: B905 - Python 3.8
            answers[index] = part

    def finalize(self) -> None:
        """Let go of the model."""
        self._predict = None


class Argument:
    """How input tensors become what the model's `predict` takes."""

    def __init__(self, inputs: list[dict[str, Any]], metadata: Any) -> None:
        """Read the model's own schema; without one its saved input example decides."""
        schema = metadata.get_input_schema()
        self._inputs = inputs
        self._columns = schema is not None and not schema.is_tensor_spec()
        self._named = schema is not None and schema.has_input_names()
        self._types: dict[str, Any] = {}
        if schema is None:
            example = getattr(metadata, "saved_input_example_info", None) or {}
            self._columns = example.get("type") == "dataframe"
            self._named = self._columns or [one["name"] for one in inputs] != [UNNAMED]
        else:
            names = [one["name"] for one in inputs]
            self._types = dict(zip(names, schema.input_types()))  # noqa: B905 - Python 3.8

    def read(self, request: Any) -> Arrays:
        """Return the tensors of a request, strings as text; WrongInput names one that is none."""
        arrays = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        for one in self._inputs:
            # Triton counts only, where some inputs are optional.
            if one["name"] not in arrays and not one.get("optional"):
                message = f"the input {one['name']} is missing; it is {one['data_type'][5:]}"
                raise WrongInput(message)
        return {
            name: array if self._holds_bytes(name) else _text(name, array)
            for name, array in arrays.items()
        }

    def make(self, arrays: Arrays) -> Any:
        """Return a DataFrame, an array or a dict of arrays; WrongInput names the input."""
        if self._columns:
            return self._table(arrays)
        typed = {name: self._typed(name, array) for name, array in arrays.items()}
        return typed if self._named else typed[self._inputs[0]["name"]]

    def _holds_bytes(self, name: str) -> bool:
        declared = self._types.get(name)
        return getattr(declared, "name", None) == "binary" or getattr(declared, "kind", "") == "S"

    def _typed(self, name: str, array: Array) -> Array:
        """Return text in the numpy type that the signature asks for, which BYTES stands for."""
        kind = getattr(self._types.get(name), "kind", "O")
        return array.astype(kind) if array.dtype.kind == "O" and kind in "US" else array

    def _table(self, arrays: Arrays) -> Any:
        import pandas as pd

        columns = {}
        for one in self._inputs:
            name = one["name"]
            if name in arrays:
                columns[name] = self._column(name, arrays[name])
        frame = pd.DataFrame(columns)
        if not self._named:
            frame.columns = pd.RangeIndex(len(frame.columns))
        return frame

    def _column(self, name: str, array: Array) -> Any:
        declared = self._types.get(name)
        if type(declared).__name__ == "Array":
            return [row.tolist() if row.dtype.kind == "O" else row for row in array]
        flat = array.reshape(-1)
        if getattr(declared, "name", None) == "datetime":
            return _times(name, flat)
        # MLflow's structured types travel as JSON.
        structured = type(declared).__name__ in {"Object", "Map", "AnyType"}
        return [_parsed(name, text) for text in flat] if structured else flat


class Outputs:
    """How what the model returns becomes the declared outputs."""

    def __init__(self, outputs: list[dict[str, Any]], batches: bool) -> None:
        """Take the outputs of the configuration in order."""
        self._outputs = outputs
        self._batches = batches

    def read(self, result: Any, rows: int) -> Arrays:
        """Return the declared outputs by name, by position where the names are others.

        Raises ValueError for a type, shape or number of rows that was not declared.
        """
        found = self._found(result)
        if len(found) < len(self._outputs):
            wanted = ", ".join(one["name"] for one in self._outputs)
            message = f"the model returned {len(found)} outputs ({', '.join(found)}), not {wanted}"
            raise ValueError(message)
        by_position = list(found.values())
        arrays = {}
        for index, one in enumerate(self._outputs):
            array = np.asarray(found.get(one["name"], by_position[index]))
            arrays[one["name"]] = self._shaped(one, _cast(one, array))
            if self._batches and len(arrays[one["name"]]) != rows:
                count = len(arrays[one["name"]])
                message = f"the output {one['name']} has {count} rows for {rows} rows of input"
                raise ValueError(message)
        return arrays

    def _found(self, result: Any) -> Arrays:
        if hasattr(result, "columns"):
            found = {str(name): result[name].to_numpy() for name in result.columns}
        elif isinstance(result, dict):
            found = {str(name): np.asarray(value) for name, value in result.items()}
        elif isinstance(result, tuple):
            found = {str(index): np.asarray(value) for index, value in enumerate(result)}
        else:
            dense = result.toarray() if hasattr(result, "toarray") else np.asarray(result)
            found = {self._outputs[0]["name"]: dense}
        if len(self._outputs) == 1 and len(found) > 1 and self._outputs[0]["name"] not in found:
            found = {self._outputs[0]["name"]: np.column_stack(list(found.values()))}
        return found

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


def _layout(arrays: Arrays) -> tuple[Any, ...]:
    """Return what two requests must have in common to be joined."""
    return tuple((name, array.shape[1:]) for name, array in sorted(arrays.items()))


def _join(requests: list[Arrays]) -> Arrays:
    if len(requests) == 1:
        return requests[0]
    return {name: np.concatenate([arrays[name] for arrays in requests]) for name in requests[0]}


def _split(outputs: Arrays, rows: list[int]) -> Iterator[Arrays]:
    if len(rows) == 1:
        return iter([outputs])
    ends = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return ({name: parts[name][index] for name in parts} for index in range(len(rows)))


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
    import pandas as pd

    # pandas 2 takes the format of the first for that of all unless it is told; pandas 1 does not.
    how: dict[str, Any] = {} if pd.__version__.startswith(("0.", "1.")) else {"format": "ISO8601"}
    try:
        return pd.to_datetime(pd.Series(text), **how)
    except (ValueError, TypeError) as error:
        message = f"the input {name} takes times such as 2026-01-31T12:00:00 ({error})"
        raise WrongInput(message) from None


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"the input {name} takes JSON ({error})"
        raise WrongInput(message) from None


def _cast(output: dict[str, Any], array: Array) -> Array:
    """Return an array in the declared type; ValueError where values would be lost."""
    if output["data_type"] == STRINGS:
        encoded = np.empty(array.size, dtype=object)
        encoded[:] = [
            one if isinstance(one, bytes) else str(one).encode("utf-8") for one in array.reshape(-1)
        ]
        return encoded.reshape(array.shape)
    wanted = np.dtype(DTYPES[output["data_type"]])
    if array.dtype == wanted:
        return array
    try:
        with np.errstate(all="ignore"):
            cast = array.astype(wanted)
        lossless = array.dtype.kind in "biufO" and (
            wanted.kind == "f" or np.array_equal(cast, array)
        )
    except (TypeError, ValueError):
        lossless = False
    if not lossless:
        message = f"the output {output['name']} is of {array.dtype}, declared as {wanted}"
        raise ValueError(message)
    return cast


def _response(answer: Any) -> Any:
    import triton_python_backend_utils as pb_utils

    if isinstance(answer, WrongInput):
        error = pb_utils.TritonError(str(answer), pb_utils.TritonError.INVALID_ARG)
        return pb_utils.InferenceResponse(error=error)
    if isinstance(answer, Exception):
        error = pb_utils.TritonError(f"{type(answer).__name__}: {answer}")
        return pb_utils.InferenceResponse(error=error)
    return pb_utils.InferenceResponse(
        output_tensors=[
            pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in answer.items()
        ]
    )
