"""Values as people have them: missing ones, dates and structures, on the way in and out.

A missing value is None, NaN of a text column, pandas' NA or NaT; in JSON null, in CSV an empty
cell. An input of floats gets NaN. Any other input must declare a mark, the BOOL tensor
`NAME.missing`, which is true where there is no value. Dates are ISO 8601, structures JSON.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cloche.artifacts import TensorSpec

    Array = NDArray[Any]


def filled(tensor: TensorSpec, value: Any, *, marked: bool) -> tuple[Any, Array | None]:
    """Return values without gaps, in the protocol's types, and where the gaps were.

    `marked` says whether the input declares a mark. Raises UsageError `infer.input.missing_value`
    for a gap that the input cannot have.
    """
    array = _objects(value)
    if array is None and _has_gaps(value) and not tensor.datatype.startswith(("FP", "BF")):
        flat = value.ravel()  # a table turns whole numbers with gaps into floats
        whole = [int(v) if np.isfinite(v) and v == v // 1 else v for v in flat]
        array = np.array(whole, dtype=object)
        array = array.reshape(value.shape)
    if array is None:
        return _decoded(tensor, value), None
    gaps = np.array([is_missing(one) for one in array.ravel()], bool).reshape(array.shape)
    if not gaps.any():
        return _decoded(tensor, _written(tensor, array)), None
    if tensor.datatype.startswith(("FP", "BF")):
        return np.where(gaps, np.nan, array).tolist(), None
    if not marked:
        raise UsageError(
            "infer.input.missing_value",
            f"The input {tensor.name!r} has a missing value, which the model's signature excludes.",
            hint="Fill it in, or log the model with a signature inferred from data that misses it"
            " (a column with `required: false`).",
        )
    filler: Any = "" if tensor.datatype == "BYTES" else 0 if tensor.datatype != "BOOL" else False
    kept = array.copy()
    kept[gaps] = filler
    return _decoded(tensor, _written(tensor, kept)), gaps


def _decoded(tensor: TensorSpec, value: Any) -> Any:
    """Return a binary input's bytes, of which text is base64, as JSON has to write them."""
    if tensor.holds != "binary":
        return value
    try:
        return decoded(np.asarray(value, dtype=object))
    except ValueError:
        raise UsageError(
            "infer.input.base64",
            f"The input {tensor.name!r} holds bytes, and the text given for it is not base64.",
            hint="Give bytes, or in JSON and CSV their base64.",
        ) from None


def with_gaps(outputs: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Return outputs with None where a mark says that there is no value, and without the marks.

    Lists of unequal length are lists again.
    """
    from cloche.inputs import ragged

    marks = {spec.name: of for of, spec in ragged.marks_of(specs).items()}
    outputs = ragged.with_lists(outputs, specs)
    result = {name: array for name, array in outputs.items() if name not in marks}
    for name, of in marks.items():
        if name not in outputs or of not in result or not outputs[name].any():
            continue
        whole = result[of].astype(object)
        whole[outputs[name].reshape(whole.shape)] = None
        result[of] = whole
    return result


def _objects(value: Any) -> Array | None:
    """Return values that need a look as an array of objects; None for plain numbers or text."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "M":
            # pandas and numpy write a time without its zone, in nanoseconds or less.
            texts = np.datetime_as_string(value).astype(object)
            texts[np.isnat(value)] = None
            return np.vectorize(_shortened, otypes=[object])(texts) if texts.size else texts
        return value if value.dtype == object else None
    if value is None or isinstance(value, dict):  # of one row
        return np.array(value, dtype=object)
    if not isinstance(value, (list, tuple)):
        return None
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(len(value), dtype=object)
        array[:] = value
    return array if array.dtype == object else None


def _has_gaps(value: Any) -> bool:
    floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return floats and bool(np.isnan(value).any())


def _shortened(text: str | None) -> str | None:
    """Return a time without the zeros that end its fraction."""
    if text is None or "." not in text:
        return text
    return text.rstrip("0").rstrip(".")


def is_missing(value: Any) -> bool:
    """Return whether a value stands for none: None, NaN, pandas' NA or NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _written(tensor: TensorSpec, array: Array) -> Any:
    """Return objects as the input takes them; numbers find their own type again."""
    if tensor.datatype != "BYTES":
        return array.tolist()
    written = np.empty(array.size, dtype=object)
    written[:] = [_text(one, tensor.holds) for one in array.ravel()]
    return written.reshape(array.shape)


def _text(value: Any, holds: str | None) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    structure = isinstance(value, dict | list) or (holds == "json" and not isinstance(value, str))
    return json.dumps(value, ensure_ascii=False) if structure else value


def decoded(texts: Array) -> Array:
    """Return the bytes that base64 stands for; bytes stay. Raises ValueError for other text."""
    data = np.empty(texts.size, dtype=object)
    data[:] = [
        base64.b64decode("".join(one.split()), validate=True) if isinstance(one, str) else one
        for one in texts.ravel()
    ]
    return data.reshape(texts.shape)
