"""Run an MLflow model as a Python function: `run_pyfunc.py FOLDER MODEL`.

`FOLDER/model.json` lists, in order, `inputs` and `outputs`, each with `name` and `datatype`;
`unnamed` are placeholder names of an unnamed argument, and `columns` is true if the inputs are the
columns of one table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exchange  # type: ignore[import-not-found]
import job  # type: ignore[import-not-found]
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class PythonFunction(job.Framework):  # type: ignore[misc]
    """A model loaded as a Python function."""

    def __init__(self, folder: str, description: dict[str, Any]) -> None:
        """Load the model in a folder."""
        import mlflow.pyfunc

        self._description = description
        loaded = mlflow.pyfunc.load_model(folder)
        self._predict = loaded.predict
        schema = loaded.metadata.get_input_schema()
        names = [tensor["name"] for tensor in description["inputs"]]
        kinds = [] if schema is None else schema.input_types()
        self._types = dict(zip(names, kinds))  # noqa: B905 - Python 3.8

    def run(self, argument: dict[str, Array]) -> dict[str, Array]:
        """Return the outputs by name."""
        result = self._predict(_argument(argument, self._description, self._types))
        return _outputs(result, self._description["outputs"])


def main(folder: str, model: str) -> None:
    """Do the job in `folder` with the MLflow model in the folder `model`."""
    # The model's own code is in the store, where nothing may be added.
    sys.dont_write_bytecode = True
    description = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    job.work(Path(folder), PythonFunction(model, description))


def _argument(inputs: dict[str, Array], description: dict[str, Any], types: dict[str, Any]) -> Any:
    values = {
        tensor["name"]: _value(inputs[tensor["name"]], types.get(tensor["name"]))
        for tensor in description["inputs"]
        if tensor["name"] in inputs
    }
    if not description["columns"]:
        only = description["inputs"][0]["name"]
        return values[only] if only in description["unnamed"] else values
    import pandas as pd

    frame = pd.DataFrame({name: _column(array, types.get(name)) for name, array in values.items()})
    if set(values) <= set(description["unnamed"]):
        frame.columns = pd.RangeIndex(len(frame.columns))
    return frame


def _value(array: Array, kind: Any) -> Array:
    """Return strings in the signature's type: text, or bytes for `binary` and numpy's `S`."""
    if array.dtype.kind != "O" or getattr(kind, "name", "") == "binary":
        return array
    if getattr(kind, "kind", "") == "S":
        return array.astype("S")
    text = [element.decode("utf-8") for element in array.ravel()]
    numpy_type = "U" if getattr(kind, "kind", "") == "U" else object
    return np.array(text, dtype=numpy_type).reshape(array.shape)


def _column(array: Array, kind: Any) -> Any:
    import pandas as pd

    what = type(kind).__name__
    if what == "Array":
        return [row if row.dtype.kind != "O" else row.tolist() for row in array]
    if getattr(kind, "name", "") == "datetime":
        return [pd.Timestamp(text) for text in array.ravel()]
    if what in {"Object", "Map", "AnyType"}:
        return [json.loads(text) for text in array.ravel()]
    return array.ravel()


def _outputs(result: Any, wanted: list[dict[str, str]]) -> dict[str, Array]:
    if hasattr(result, "columns"):
        answers = {str(name): result[name].to_numpy() for name in result.columns}
    elif isinstance(result, dict):
        answers = {str(name): np.asarray(value) for name, value in result.items()}
    elif hasattr(result, "toarray"):
        answers = {wanted[0]["name"]: result.toarray()}
    else:
        answers = {wanted[0]["name"]: np.asarray(result)}
    if len(wanted) == 1 and len(answers) > 1:
        answers = {wanted[0]["name"]: np.column_stack(list(answers.values()))}
    values = list(answers.values())
    return {
        tensor["name"]: _cast(answers.get(tensor["name"], values[index]), tensor["datatype"])
        for index, tensor in enumerate(wanted)
    }


def _cast(array: Array, datatype: str) -> Array:
    kind = object if datatype == "BYTES" else exchange.DTYPES[datatype]
    return array.astype(kind)


if __name__ == "__main__":
    exchange.end_with_parent()
    main(*sys.argv[1:])
