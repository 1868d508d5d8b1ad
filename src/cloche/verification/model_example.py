"""The input example that a registry stores with a model, as tensors of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES
from cloche.errors import ClocheError
from cloche.inputs.mlflow_example import Named, Table, parse

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import TensorSpec
    from cloche.verification.direct_run import Tensors

LARGEST = 64 * 2**20
"""Largest file of an example, in bytes."""


def read(path: Path, specs: tuple[TensorSpec, ...]) -> Tensors:
    """Return the example in a file as one array per input of the model.

    Raises ClocheError `golden.example` for an example that does not fit the model's inputs.
    """
    if path.stat().st_size > LARGEST:
        raise _unusable(path, f"it has more than {LARGEST:,} bytes")
    try:
        values = _by_input(json.loads(path.read_text(encoding="utf-8")), specs)
        return {spec.name: _array(values[spec.name], spec) for spec in specs if spec.name in values}
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from None


def _unusable(path: Path, why: str) -> ClocheError:
    return ClocheError(
        "golden.example",
        f"The model's input example does not fit its inputs: {why}.",
        where=path.name,
        hint="Log the model with the input example that its signature was inferred from.",
    )


def _by_input(document: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    """Return the example's values by the name of the input."""
    example = parse(document, {spec.name for spec in specs})
    if isinstance(example, Table):
        return _of_table(example, specs)
    if isinstance(example, Named):
        return _by_name(example.values, specs)
    if len(specs) == 1:
        return {specs[0].name: example.value}
    return {spec.name: [row[i] for row in example.value] for i, spec in enumerate(specs)}


def _by_name(values: dict[str, Any], specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    missing = [spec.name for spec in specs if spec.name not in values and not spec.optional]
    if missing and len(specs) == 1 and len(values) == 1:
        return {specs[0].name: next(iter(values.values()))}
    if missing:
        raise KeyError(f"no value for {', '.join(missing)}")
    return values


def _of_table(table: Table, specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    if len(specs) == 1 and specs[0].name not in table.columns:
        return {specs[0].name: table.rows}
    columns = {name: table.column(index) for index, name in enumerate(table.columns)}
    if not {spec.name for spec in specs} & columns.keys():
        return dict(zip((spec.name for spec in specs), columns.values(), strict=True))
    return columns


def _array(value: Any, spec: TensorSpec) -> Any:
    import numpy as np

    if spec.datatype == "BYTES":
        array = np.asarray(value, dtype=object)
        texts = [item if isinstance(item, str) else json.dumps(item) for item in array.ravel()]
        array = np.array(texts, dtype=object).reshape(array.shape)
    else:
        array = np.asarray(value).astype(DATATYPES[spec.datatype].numpy)
    rank = len(spec.shape)
    if array.ndim == rank - 1:
        # A single item without its batch axis, or one value per row.
        array = array[..., None] if spec.shape[-1] == 1 else array[None, ...]
    if array.ndim != rank or any(
        declared not in {-1, size} for declared, size in zip(spec.shape, array.shape, strict=True)
    ):
        raise ValueError(f"{spec.name} has the shape {list(array.shape)}, not {list(spec.shape)}")
    return array
