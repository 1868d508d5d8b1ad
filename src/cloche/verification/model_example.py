"""The input example that a registry stores with a model, as tensors of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES
from cloche.errors import ClocheError
from cloche.inputs import missing, ragged
from cloche.inputs.mlflow_example import by_input
from cloche.inputs.service_requests import request_parameters

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import TensorSpec
    from cloche.verification.asked import Tensors

LARGEST = 64 * 2**20
"""Largest file of an example, in bytes."""


def read(path: Path, specs: tuple[TensorSpec, ...]) -> tuple[Tensors, dict[str, Any]]:
    """Return the example in a file as one array per input of the model, and its parameters.

    Raises ClocheError `golden.example` for an example that does not fit the model's inputs.
    """
    if path.stat().st_size > LARGEST:
        raise _unusable(path, f"it has more than {LARGEST:,} bytes")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        values = by_input(document, tuple(spec for spec in specs if spec.marks is None))
        parameters = document.get("params") if isinstance(document, dict) else None
        return _arrays(values, specs), _parameters(parameters)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        why = error.args[0] if isinstance(error, KeyError) else error
        raise _unusable(path, str(why).rstrip(".")) from None


def _arrays(values: dict[str, Any], specs: tuple[TensorSpec, ...]) -> Tensors:
    """Return the tensors of an example; a value that is none is marked where it can be."""
    import numpy as np

    marks, lengths = ragged.marks_of(specs), ragged.lengths_of(specs)
    arrays: Tensors = {}
    for spec in specs:
        if spec.name not in values or spec.marks is not None:
            continue
        value, mark = values[spec.name], marks.get(spec.name)
        if value is None and spec.optional:
            continue
        if spec.name in lengths:
            value, told = ragged.padded(spec, value)
            if told is not None:
                arrays[lengths[spec.name].name] = told
        # MLflow writes NaN into JSON where pandas has it.
        gaps = [missing.is_missing(one) for one in value] if isinstance(value, list) else []
        if any(gaps) and mark is None and not spec.datatype.startswith("FP"):
            raise ValueError(f"{spec.name} misses a value, and has no way to say so")
        if any(gaps) and mark is not None:
            filler = "" if spec.datatype == "BYTES" else 0
            value = [filler if gap else one for one, gap in zip(value, gaps, strict=True)]
            arrays[mark.name] = np.array(gaps)[:, None]
        arrays[spec.name] = _array(value, spec)
    return arrays


def _parameters(given: Any) -> dict[str, Any]:
    """Return inference parameters as a request carries them; null is none."""
    if not isinstance(given, dict):
        return {}
    return request_parameters({str(k): value for k, value in given.items() if value is not None})


def _unusable(path: Path, why: str) -> ClocheError:
    return ClocheError(
        "golden.example",
        f"The model's input example does not fit its inputs: {why}.",
        where=path.name,
        hint="Log the model with an example of one row, or give a request: --example FILE.",
    )


def _texts(value: Any, shape: tuple[int, ...]) -> Any:
    """Return text in a declared shape; what is deeper or of another size is one value, as JSON."""
    import numpy as np

    items: list[Any] = [value]
    sizes: tuple[int, ...] = ()
    while len(sizes) < len(shape) and items and all(isinstance(item, list) for item in items):
        lengths = {len(item) for item in items}
        if len(lengths) != 1 or shape[len(sizes)] not in {-1, *lengths}:
            break
        items, sizes = [inner for item in items for inner in item], (*sizes, lengths.pop())
    texts = np.empty(len(items), dtype=object)
    texts[:] = [item if isinstance(item, str) else json.dumps(item) for item in items]
    return texts.reshape(sizes)


def _numbers(value: Any) -> Any:
    import numpy as np

    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError("its lists differ in length, which one request cannot hold") from None


def _array(value: Any, spec: TensorSpec) -> Any:

    if spec.datatype == "BYTES":
        array = _texts(value, spec.shape)
        if spec.holds == "binary":
            array = missing.decoded(array)
    else:
        array = _numbers(value).astype(DATATYPES[spec.datatype].numpy)
    rank = len(spec.shape)
    if not array.ndim:
        array = array.reshape((1,) * rank)  # the value of one row
    elif array.ndim == rank - 1:
        # A single item without its batch axis, or one value per row.
        array = array[..., None] if spec.shape[-1] == 1 else array[None, ...]
    if array.ndim != rank or any(
        declared not in {-1, size} for declared, size in zip(spec.shape, array.shape, strict=True)
    ):
        raise ValueError(f"{spec.name} has the shape {list(array.shape)}, not {list(spec.shape)}")
    return array
