"""A signature from an input example, for models that were logged without one."""

from __future__ import annotations

from typing import Any

from cloche.artifacts import Signature, TensorSpec
from cloche.inputs.mlflow_example import Named, Table, parse

UNNAMED = "input"
"""The name of an input whose example is one unnamed array."""


def derive(document: Any) -> Signature | None:
    """Return the signature implied by an MLflow example, None if it is ambiguous.

    Raises ValueError, TypeError or IndexError for values that are not tensors.
    """
    example = parse(document)
    if isinstance(example, Table):
        return _of_table(example) if example.columns else None
    if isinstance(example, Named):
        values = example.values
        if not values or not all(isinstance(value, list) for value in values.values()):
            return None
        return Signature(tuple(_tensor(name, value) for name, value in values.items()))
    if not isinstance(example.value, list) or not example.value:
        return None
    return Signature((_tensor(UNNAMED, example.value),), unnamed=(UNNAMED,))


def _of_table(table: Table) -> Signature:
    columns = tuple(
        TensorSpec(
            name,
            _datatype(table.column(index)),
            (-1, 1),
            optional=any(value is None for value in table.column(index)),
        )
        for index, name in enumerate(table.columns)
    )
    return Signature(columns, columns=True, unnamed=tuple(n for n in table.columns if not n))


def _tensor(name: str, value: list[Any]) -> TensorSpec:
    inner: list[int] = []
    level: Any = value[0]
    while isinstance(level, list):
        inner.append(len(level))
        level = level[0]
    return TensorSpec(name, _datatype([level]), (-1, *inner))


def _datatype(values: list[Any]) -> str:
    """Return the datatype that holds all values of a column; a missing value is NaN (a float)."""
    if all(isinstance(value, bool) for value in values):
        return "BOOL"
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "INT64"
    if all(value is None or isinstance(value, int | float) for value in values):
        return "FP64"
    if all(value is None or isinstance(value, str) for value in values):
        return "BYTES"
    raise ValueError(f"values of mixed types: {values[:3]}")
