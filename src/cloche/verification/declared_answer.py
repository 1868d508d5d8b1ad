"""A framework's own answer, as the outputs that a model declares.

This is the documented convention of answers (docs/guides/mlflow.md), written apart from the code
that serves the model: outputs go by name where any name fits, and by position only where none does;
text is UTF-8; `NAME.missing` marks rows without a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES, TensorSpec
from cloche.artifacts.model import LENGTHS, MISSING
from cloche.errors import ClocheError
from cloche.inputs.ragged import lengths_of, marks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloche.verification.asked import Tensors

    Array = NDArray[Any]

_HINT = (
    "Log the model again with a signature of what it returns: "
    "mlflow.models.infer_signature(inputs, model.predict(inputs))."
)


def as_declared(answer: Tensors, specs: tuple[TensorSpec, ...]) -> Tensors:
    """Return an answer by the declared names, in the declared types and numbers of axes.

    Raises ClocheError `golden.outputs` for an answer that lacks a declared output, or has it in a
    type that would lose something.
    """
    found = {name: array for name, array in answer.items() if not _is_mark(name, answer)}
    declared: Tensors = {}
    for spec, name in _assigned(found, specs):
        mark = marks_of(specs).get(spec.name)
        told = lengths_of(specs).get(spec.name)
        if told is not None and name is not None and name + LENGTHS in answer:
            declared[spec.name] = _cast(spec, answer[name])
            declared[told.name] = answer[name + LENGTHS]
            continue
        if name is None:
            declared |= _left_out(spec, mark, told, answer)
            continue
        array = answer[name] if name in answer else _stacked(found)
        if name + MISSING in answer and spec.datatype.startswith("FP"):
            array = _with_nan(array, answer[name + MISSING])
        array = _cast(spec, array)
        declared[spec.name] = _with_axes(array, len(spec.shape))
        if mark is not None:
            none = answer.get(name + MISSING)
            declared[mark.name] = _with_axes(_none_missing(array, none), len(mark.shape))
    return declared


def found_outputs(answer: Tensors) -> tuple[TensorSpec, ...]:
    """Return the outputs of an answer as declarations; every axis may have any size."""
    from cloche.verification.reference.scripts import exchange

    return tuple(
        TensorSpec(
            name,
            exchange.datatype_of(array),
            (-1,) * array.ndim,
            marks=name.removesuffix(MISSING) if _is_mark(name, answer) else None,
        )
        for name, array in answer.items()
    )


def with_marks(specs: tuple[TensorSpec, ...], answer: Tensors) -> tuple[TensorSpec, ...]:
    """Return declared outputs, each with a mark of missing values if its answer has some."""
    found = {name: array for name, array in answer.items() if not _is_mark(name, answer)}
    known, lengths = marks_of(specs), lengths_of(specs)
    marked: list[TensorSpec] = []
    for spec, name in _assigned(found, specs):
        marked.append(spec)
        if spec.name in lengths:
            marked.append(lengths[spec.name])
        if spec.name in known:
            marked.append(known[spec.name])
        elif name is None or spec.datatype.startswith("FP"):
            continue
        elif name + MISSING in answer:
            marked.append(
                TensorSpec(spec.name + MISSING, "BOOL", spec.shape, spec.labels, marks=spec.name)
            )
    return tuple(marked)


def _is_mark(name: str, answer: Tensors) -> bool:
    return any(
        name.endswith(end) and name.removesuffix(end) in answer for end in (MISSING, LENGTHS)
    )


def _left_out(
    spec: TensorSpec, mark: TensorSpec | None, lengths: TensorSpec | None, answer: Tensors
) -> Tensors:
    """Return an optional output that the answer lacks: a row without a value for each of its."""
    import numpy as np

    rows = max(len(array) for array in answer.values() if array.ndim)
    shape = (rows,) + (1,) * (len(spec.shape) - 1)
    filler: Any = b"" if spec.datatype == "BYTES" else 0
    value = np.nan if spec.datatype.startswith("FP") else filler
    dtype = object if spec.datatype == "BYTES" else DATATYPES[spec.datatype].numpy
    left_out = {spec.name: np.full(shape, value, dtype)}
    if lengths is not None:
        left_out[spec.name] = left_out[spec.name][..., :0]
        left_out[lengths.name] = np.full((rows,) + (1,) * (len(lengths.shape) - 1), -1)
    if mark is not None:
        left_out[mark.name] = np.ones((rows,) + (1,) * (len(mark.shape) - 1), bool)
    return left_out


def _assigned(found: Tensors, specs: tuple[TensorSpec, ...]) -> list[tuple[TensorSpec, str | None]]:
    """Return each declared output with the name that the answer has for it.

    The name is empty if the one declared output is the columns of a table side by side, None for
    an optional one that the answer lacks.
    """
    wanted = [spec for spec in specs if spec.marks is None]
    if len(wanted) == 1 and len(found) > 1 and wanted[0].name not in found:
        return [(wanted[0], "")]
    fits = any(spec.name in found for spec in wanted)
    absent = [spec.name for spec in wanted if spec.name not in found and not spec.optional]
    if fits and not absent:
        return [(spec, spec.name if spec.name in found else None) for spec in wanted]
    if fits or len(found) < len(wanted):
        raise ClocheError(
            "golden.outputs",
            f"The model answers {', '.join(found)}, and its signature declares "
            f"{', '.join(absent)} as well.",
            hint=_HINT,
        )
    return list(zip(wanted, found, strict=False))


def _stacked(found: Tensors) -> Array:
    import numpy as np

    return np.column_stack(list(found.values()))


def _with_nan(array: Array, missing: Array) -> Array:
    """Return numbers as floats, NaN where they are missing."""
    import numpy as np

    return np.where(missing, np.nan, array)


def _cast(spec: TensorSpec, array: Array) -> Array:
    import numpy as np

    if spec.datatype == "BYTES":
        elements = array.ravel().tolist()
        text = [one if isinstance(one, bytes) else str(one).encode() for one in elements]
        cast = np.empty(len(text), dtype=object)
        cast[:] = text
        return cast.reshape(array.shape)
    wanted = np.dtype(DATATYPES[spec.datatype].numpy)
    if array.dtype.kind in "biuf":
        with np.errstate(all="ignore"):
            numbers = array.astype(wanted)
        if wanted.kind == "f" or np.array_equal(numbers, array):
            return numbers
    if _is_ragged(array):
        raise ClocheError(
            "golden.outputs",
            f"The model answers {spec.name} as lists of different lengths, which no tensor holds.",
            hint="Return lists of one length, or text (json.dumps). Or serve rows one by one: write"
            " `batching: {max_batch_size: 0}` and give an `example` of one row.",
        )
    raise ClocheError(
        "golden.outputs",
        f"The model answers {spec.name} as {'text' if array.dtype.kind == 'O' else array.dtype}, "
        f"and its signature declares {spec.datatype}.",
        hint=_HINT,
    )


def _is_ragged(array: Array) -> bool:
    """Return whether text is lists in JSON, as which unequal rows of numbers travel."""
    elements = array.ravel().tolist()
    return bool(elements) and all(
        isinstance(one, bytes) and one.startswith(b"[") and one.endswith(b"]") for one in elements
    )


def _none_missing(array: Array, missing: Array | None) -> Array:
    import numpy as np

    return np.zeros(array.shape, bool) if missing is None else missing


def _with_axes(array: Array, rank: int) -> Array:
    """Return an array with a last axis of 1 added or dropped, if only that is amiss."""
    if array.ndim == rank - 1:
        return array[..., None]
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        return array[..., 0]
    return array
