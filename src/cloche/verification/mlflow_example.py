"""The input example that a registry keeps with a model, as the tensors of the model.

MLflow writes examples as its scoring server takes them (`dataframe_split`, `dataframe_records`,
`inputs`, `instances`; see "Deploy MLflow Model as a Local Inference Server") or as they were given:
a table with `columns` and `data`, a list, or a mapping of names to values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ModelFormat
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelRepository, TensorSpec
    from cloche.verification.direct_run import Tensors

LARGEST = 64 * 2**20
"""Bytes of the file of an example."""


def inputs_of(facts: ModelFacts, repository: ModelRepository) -> tuple[TensorSpec, ...]:
    """Return the inputs of an example, in the model's own shapes."""
    # The axes of a finished repository are known from its configuration alone.
    return repository.inputs if facts.format is ModelFormat.TRITON else facts.inputs


def read(path: Path, specs: tuple[TensorSpec, ...]) -> Tensors:
    """Return the example in a file as one array per input of the model.

    Raises ClocheError `golden.example` for an example that does not fit the model's inputs.
    """
    if path.stat().st_size > LARGEST:
        raise _unusable(path, f"it has more than {LARGEST:,} bytes")
    try:
        named = _named(json.loads(path.read_text(encoding="utf-8")), specs)
        return {spec.name: _array(named[spec.name], spec) for spec in specs if spec.name in named}
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from None


def _unusable(path: Path, why: str) -> ClocheError:
    return ClocheError(
        "golden.example",
        f"The model's input example does not fit its inputs: {why}.",
        where=path.name,
        hint="Log the model with an input example that its signature was inferred from.",
    )


def _named(document: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    """Return the example's values by the name of the input."""
    if isinstance(document, dict):
        return _from_mapping(document, specs)
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return {key: [record[key] for record in document] for key in document[0]}
    if len(specs) == 1:
        return {specs[0].name: document}
    return {spec.name: [row[i] for row in document] for i, spec in enumerate(specs)}


def _from_mapping(document: dict[str, Any], specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    table = document.get("dataframe_split", document)
    if isinstance(table, dict) and {"columns", "data"} <= table.keys():
        return _columns(table["columns"], table["data"], specs)
    if "dataframe_records" in document:
        records = document["dataframe_records"]
        return _columns(list(records[0]), [list(one.values()) for one in records], specs)
    for key in {"inputs", "instances"} - {spec.name for spec in specs}:
        if key in document:
            return _named(document[key], specs)
    missing = [spec.name for spec in specs if spec.name not in document and not spec.optional]
    if missing and len(specs) == 1 and len(document) == 1:
        return {specs[0].name: next(iter(document.values()))}
    if missing:
        raise KeyError(f"no value for {', '.join(missing)}")
    return document


def _columns(
    names: list[Any], rows: list[list[Any]], specs: tuple[TensorSpec, ...]
) -> dict[str, Any]:
    columns = {str(name): [row[index] for row in rows] for index, name in enumerate(names)}
    if len(specs) == 1 and specs[0].name not in columns:
        return {specs[0].name: rows}
    if not {spec.name for spec in specs} & columns.keys():
        return {spec.name: columns[str(name)] for spec, name in zip(specs, names, strict=True)}
    return columns


def _array(value: Any, spec: TensorSpec) -> Any:
    import numpy as np

    from cloche.verification.reference.exchange import DTYPES

    if spec.datatype == "BYTES":
        array = np.asarray(value, dtype=object)
        texts = [item if isinstance(item, str) else json.dumps(item) for item in array.ravel()]
        array = np.array(texts, dtype=object).reshape(array.shape)
    else:
        array = np.asarray(value).astype(DTYPES[spec.datatype])
    rank = len(spec.shape)
    if array.ndim == rank - 1:
        # One item without its batch axis, or one value per row.
        array = array[..., None] if spec.shape[-1] == 1 else array[None, ...]
    if array.ndim != rank or any(
        declared not in {-1, size} for declared, size in zip(spec.shape, array.shape, strict=True)
    ):
        raise ValueError(f"{spec.name} has the shape {list(array.shape)}, not {list(spec.shape)}")
    return array
