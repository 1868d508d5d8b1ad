"""Run an MLflow model as a Python function: `run_pyfunc.py FOLDER MODEL`.

`FOLDER/model.json` has `inputs` (`name` and `datatype` of each, in order), `columns`, true if they
are the columns of one table, and `outputs`, those of the signature (`datatype` and `shape` by
name). The model's own example is read by MLflow itself. Any other request is written as the scoring
server's JSON, and MLflow parses it by the model's schema.

The answer keeps the names and types that the model gave it. Text, dates and structures become
BYTES: UTF-8, ISO 8601, JSON. `NAME.missing` is true where a column that is not of floats has no
value.
"""

from __future__ import annotations

import base64
import copy
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import job  # type: ignore[import-not-found]
import numpy as np
import pyfunc_answers  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class PythonFunction(job.Framework):  # type: ignore[misc]
    """A model loaded as a Python function."""

    def __init__(self, folder: str, description: dict[str, Any]) -> None:
        """Load the model in a folder."""
        import mlflow.pyfunc

        self._folder = folder
        self._inputs = description["inputs"]
        self._columns = description["columns"]
        self._outputs = description["outputs"]
        self._whole = description["whole"]
        self._loaded = mlflow.pyfunc.load_model(folder)
        self._schema = self._loaded.metadata.get_input_schema()
        named = self._schema is not None and self._schema.has_input_names()
        names = [one["name"] for one in self._inputs]
        self._labels = self._schema.input_names() if named else names
        self._kinds = [] if self._schema is None else self._schema.input_types()
        self._named = named or (self._schema is None and (self._columns or names != ["input"]))
        self._parameters: dict[str, Any] = {}

    def argument(self, origin: str, arrays: dict[str, Array], parameters: dict[str, Any]) -> Any:
        """Return what `predict` takes, read by MLflow itself."""
        metadata = self._loaded.metadata
        self._parameters = _with_lists(parameters, metadata)
        if origin == "stored" and not self._read_by_us():
            example = metadata.load_input_example(self._folder)
            if example is not None:
                return self._with_gaps(self._as_table(example), arrays)
        return self._with_gaps(self._parsed(arrays), arrays)

    def _as_table(self, example: Any) -> Any:
        """Return an example; a mapping that MLflow takes for one row of a table as that table."""
        if not self._columns or not isinstance(example, dict):
            return example
        import pandas as pd

        kinds = {type(kind).__name__ for kind in self._kinds}
        single = all(np.isscalar(one) or one is None or _are_texts(one) for one in example.values())
        # As `_enforce_schema` of mlflow/models/utils.py tells rows from columns.
        return pd.DataFrame([example]) if single or kinds & {"Array", "Object"} else example

    def _with_gaps(self, argument: Any, arrays: dict[str, Array]) -> Any:
        """Return a table whose columns of truth values miss what the request says is missing.

        MLflow reads null in such a column as false; its function takes None there.
        """
        for index, (one, label) in enumerate(zip(self._inputs, self._labels)):  # noqa: B905
            missing = arrays.get(one["name"] + job.MISSING)
            kind = self._kinds[index] if index < len(self._kinds) else None
            if missing is None or not hasattr(argument, "columns") or label not in argument:
                continue
            gaps = missing.reshape(-1)
            if getattr(kind, "name", "") == "boolean" and len(gaps) == len(argument):
                argument[label] = argument[label].astype(object)
                argument.loc[gaps, label] = None
        return argument

    def _is_hinted(self) -> bool:
        asked = getattr(self._loaded.metadata, "_is_signature_from_type_hint", None)
        return bool(asked is not None and asked() and not self._named)

    def _read_by_us(self) -> bool:
        """Return whether MLflow reads its example as text where its own type hint has no text."""
        kinds = {getattr(_innermost(kind), "name", "") for kind in self._kinds}
        return self._is_hinted() and bool(kinds & {"binary", "datetime"})

    def run(self, argument: Any) -> dict[str, Array]:
        """Return the outputs by name."""
        more = {"params": self._parameters} if self._parameters else {}
        given = copy.deepcopy(argument)  # some models write to their inputs
        try:
            result = self._loaded.predict(given, **more)
        except ValueError as error:
            if "categorical" not in str(error) or not hasattr(argument, "columns"):
                raise
            # LightGBM and XGBoost know the categories of columns that MLflow hands on as text; its
            # schema has no name for such a column, so the flavor's own wrapper is asked.
            table = _categorical(self._loaded, copy.deepcopy(argument))
            result = self._loaded._model_impl.predict(table, **more)
        if self._whole and isinstance(result, dict):
            result = [json.dumps(result, default=pyfunc_answers.to_plain, ensure_ascii=False)]
        return dict(pyfunc_answers.read(result, self._outputs))

    def rows_of(self, argument: Any) -> int:
        """Return the number of rows of an argument."""
        if isinstance(argument, dict):
            return len(next(iter(argument.values())))
        return int(argument.shape[0]) if hasattr(argument, "shape") else len(argument)

    def take(self, argument: Any, rows: list[int]) -> Any:
        """Return some rows of a table, of arrays or of a list."""
        if hasattr(argument, "iloc"):
            return argument.iloc[rows].reset_index(drop=True)
        if isinstance(argument, dict):
            return {name: np.asarray(value)[rows] for name, value in argument.items()}
        return [argument[row] for row in rows] if isinstance(argument, list) else argument[rows]

    def nudge(self, argument: Any) -> Any:
        """Return an argument with each float moved to its neighbour."""
        if hasattr(argument, "columns"):
            moved = argument.copy()
            for label in moved.columns:
                if moved[label].dtype.kind == "f":
                    moved[label] = job.neighbour(moved[label].to_numpy())
            return moved
        if isinstance(argument, dict):
            return {name: job.neighbour(np.asarray(value)) for name, value in argument.items()}
        return job.neighbour(argument) if isinstance(argument, np.ndarray) else argument

    def _parsed(self, arrays: dict[str, Array]) -> Any:
        """Return a request as MLflow's scoring server would read it."""
        from mlflow.utils import proto_json_utils

        own = {one["name"] for one in self._inputs}
        marks = {name: array for name, array in arrays.items() if name not in own}
        values = {
            label: _with_lengths(
                self._json(index, arrays[one["name"]], marks.get(one["name"] + job.MISSING)),
                marks.get(one["name"] + pyfunc_answers.LENGTHS),
            )
            for index, (one, label) in enumerate(zip(self._inputs, self._labels))  # noqa: B905
            if one["name"] in arrays
        }
        if self._is_hinted():
            kind = _innermost(self._kinds[0]) if self._kinds else None
            return _of_hint(next(iter(values.values())), getattr(kind, "name", ""))
        if not self._columns:
            inputs = values if self._named else next(iter(values.values()))
            return proto_json_utils.parse_tf_serving_input({"inputs": inputs}, self._schema)
        rows = [list(row) for row in zip(*values.values())]  # noqa: B905 - Python 3.8
        table = {"data": rows, "columns": list(values)} if self._named else {"data": rows}
        return proto_json_utils.dataframe_from_parsed_json(
            table, pandas_orient="split", schema=self._schema
        )

    def _json(self, index: int, array: Array, missing: Array | None) -> Any:
        """Return a tensor as the JSON values of the scoring server."""
        kind = self._kinds[index] if index < len(self._kinds) else None
        if not self._columns:
            return _texts(array, kind) if array.dtype.kind == "O" else array.tolist()
        if type(kind).__name__ == "Array" and array.ndim > 1:
            # What fills a list of structures up is null in JSON.
            values = [_texts(row, kind) if row.dtype.kind == "O" else row.tolist() for row in array]
        else:
            flat = array.reshape(-1)
            values = _texts(flat, kind) if flat.dtype.kind == "O" else flat.tolist()
        if missing is None:
            return values
        marked = missing.reshape(-1).tolist()
        return [None if gone else one for one, gone in zip(values, marked)]  # noqa: B905


def _with_lengths(rows: Any, lengths: Array | None) -> Any:
    """Return nested lists cut to their lengths; one of length -1 is not there."""
    if lengths is None:
        return rows
    flat = lengths[:, 0] if lengths.ndim == 2 and not _is_deep(rows) else lengths
    return [_cut(row, length) for row, length in zip(rows, flat)]  # noqa: B905


def _is_deep(rows: Any) -> bool:
    return any(isinstance(one, list) for row in rows for one in row)


def _cut(row: Any, length: Any) -> Any:
    if np.ndim(length):
        return [_cut(one, each) for one, each in zip(row, length) if np.ndim(each) or each >= 0]  # noqa: B905
    return None if length < 0 else row[: int(length)]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _with_lists(parameters: dict[str, Any], metadata: Any) -> dict[str, Any]:
    """Return inference parameters with lists in place of the JSON that a request carries."""
    asked = getattr(metadata, "get_params_schema", None)
    schema = asked() if asked is not None else None
    lists = [] if schema is None else [one.name for one in schema.params if one.shape is not None]
    return {
        name: json.loads(value) if name in lists and isinstance(value, str) else value
        for name, value in parameters.items()
    }


def _texts(array: Array, kind: Any) -> Any:
    """Return elements of bytes as JSON has them."""
    if array.ndim > 1:
        return [_texts(row, kind) for row in array]
    if getattr(kind, "name", "") == "binary":
        return [base64.b64encode(element).decode("ascii") for element in array]
    if getattr(kind, "kind", "") == "S":
        return list(array)
    text = [element.decode("utf-8") for element in array]
    if type(_innermost(kind)).__name__ in {"Object", "Map", "AnyType"}:
        return [json.loads(one) for one in text]
    return text


def _innermost(kind: Any) -> Any:
    """Return the type of a column, or of the values in its lists."""
    while type(kind).__name__ == "Array":
        kind = kind.dtype
    return kind


def _of_hint(values: Any, kind: str) -> Any:
    """Return JSON values as Python's, which a function with a type hint is called with."""
    if isinstance(values, list):
        return [_of_hint(value, kind) for value in values]
    if kind == "binary" and isinstance(values, str):
        return base64.b64decode(values)
    if kind == "datetime" and isinstance(values, str):
        import pandas as pd

        return pd.Timestamp(values).to_pydatetime()
    return values


def _categorical(loaded: Any, frame: Any) -> Any:
    """Return a table whose columns have the categories that the booster was trained with."""
    import pandas as pd

    inner = getattr(loaded._model_impl, "lgb_model", None)
    booster = getattr(inner, "booster_", inner)
    known = list(getattr(booster, "pandas_categorical", None) or [])
    columns = [label for label in frame.columns if frame[label].dtype.kind not in "biufcM"]
    if booster is not None and known:
        described = booster.dump_model(num_iteration=1).get("feature_infos", {})
        kinds = [described.get(name, {}).get("values") for name in booster.feature_name()]
        by_place = [label for label, kind in zip(frame.columns, kinds) if kind]  # noqa: B905
        columns = by_place if len(by_place) == len(known) else columns
    for label, values in zip(columns, known):  # noqa: B905 - Python 3.8
        frame[label] = pd.Categorical(frame[label], categories=values)
    if not known:
        frame = frame.astype(dict.fromkeys(columns, "category"))
    return frame


def main(folder: str, model: str) -> None:
    """Do the job in `folder` with the MLflow model in the folder `model`."""
    # The model's own code is in the store, where nothing may be added.
    sys.dont_write_bytecode = True
    description = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    job.work(Path(folder), PythonFunction(model, description))


if __name__ == "__main__":
    exchange.end_with_parent()
    main(*sys.argv[1:])
