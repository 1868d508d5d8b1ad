"""The right answer in an example: a JSON document with values under `outputs`.

Either by name (`{"outputs": {"y": [[1, 2]]}}`) or as an answer of the KServe v2 protocol has them
(`{"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}`). Entries
without data, as a request names the outputs that it wants, give no answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cloche.artifacts import TensorSpec


def read(path: Path, specs: tuple[TensorSpec, ...]) -> dict[str, NDArray[Any]] | None:
    """Return the answer in a file by output, in the declared types; None if it has none.

    Raises UsageError `spec.example.outputs` for values that are no answer of the model.
    """
    data = path.read_bytes()
    if data.lstrip()[:1] != b"{":
        return None
    named = _by_name(json.loads(data).get("outputs"))
    if not named:
        return None
    known = {spec.name: spec for spec in specs}
    unknown = [name for name in named if name not in known]
    if unknown:
        raise _wrong(path, f"The model has no output {unknown[0]!r}; it has {', '.join(known)}.")
    return {name: _array(path, known[name], value) for name, value in named.items()}


def _by_name(outputs: Any) -> dict[str, Any]:
    import numpy as np

    if isinstance(outputs, dict):
        return outputs
    entries = outputs if isinstance(outputs, list) else []
    return {
        str(entry["name"]): np.asarray(entry["data"]).reshape(entry.get("shape", -1))
        for entry in entries
        if isinstance(entry, dict) and "name" in entry and "data" in entry
    }


def _array(path: Path, spec: TensorSpec, value: Any) -> NDArray[Any]:
    import numpy as np

    from cloche.artifacts import DATATYPES

    try:
        array = np.asarray(value)
        if spec.datatype == "BYTES":
            array = array.astype(object)
        else:
            array = array.astype(DATATYPES[spec.datatype].numpy)
    except (ValueError, TypeError) as error:
        raise _wrong(path, f"The output {spec.name} cannot be {spec.datatype}: {error}.") from None
    for shape in (array.shape, (1, *array.shape), (*array.shape, 1)):
        if len(shape) == len(spec.shape):
            return array.reshape(shape)
    what = f"The output {spec.name} has the shape {list(array.shape)}, not {list(spec.shape)}."
    raise _wrong(path, what)


def _wrong(path: Path, what: str) -> UsageError:
    hint = "`outputs` has the values that the model has to answer, by name; leave it out to have"
    hint += " the model's own framework say them."
    return UsageError("spec.example.outputs", what, where=str(path), hint=hint)
