"""A signature from an input example, for models that were logged without one."""

from __future__ import annotations

from typing import Any

from cloche.artifacts import Signature, TensorSpec

UNNAMED = "input"
"""The name of an input whose example is one array without a name."""


def derive(document: Any) -> Signature | None:
    """Return the signature that an example of MLflow's amounts to, None where it is unclear.

    Takes what MLflow writes: `dataframe_split`, `inputs`, `instances`, a table with `columns` and
    `data`, a list of numbers, or a mapping of names to them. Raises ValueError, TypeError or
    IndexError for values that are no tensor.
    """
    if isinstance(document, dict):
        table = document.get("dataframe_split", document)
        if isinstance(table, dict) and {"columns", "data"} <= table.keys():
            return _table(table["columns"], table["data"])
        for key in ("inputs", "instances"):
            if set(document) == {key}:
                return derive(document[key])
        if document and all(isinstance(value, list) for value in document.values()):
            return Signature(tuple(_tensor(name, value) for name, value in document.items()))
        return None
    if isinstance(document, list) and document and not isinstance(document[0], dict):
        return Signature((_tensor(UNNAMED, document),), unnamed=(UNNAMED,))
    return None


def _table(names: list[Any], rows: list[list[Any]]) -> Signature:
    columns = tuple(
        TensorSpec(str(name), _datatype([row[index] for row in rows]), (-1, 1))
        for index, name in enumerate(names)
    )
    made_up = tuple(spec.name for spec, name in zip(columns, names, strict=True) if name == "")
    return Signature(columns, columns=True, unnamed=made_up)


def _tensor(name: str, value: list[Any]) -> TensorSpec:
    inner: list[int] = []
    level: Any = value[0]
    while isinstance(level, list):
        inner.append(len(level))
        level = level[0]
    return TensorSpec(name, _datatype([level]), (-1, *inner))


def _datatype(values: list[Any]) -> str:
    """Return the type that holds all values of a column; a missing value is a float's NaN."""
    if all(isinstance(value, bool) for value in values):
        return "BOOL"
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "INT64"
    if all(value is None or isinstance(value, int | float) for value in values):
        return "FP64"
    if all(value is None or isinstance(value, str) for value in values):
        return "BYTES"
    raise ValueError(f"values of mixed types: {values[:3]}")
