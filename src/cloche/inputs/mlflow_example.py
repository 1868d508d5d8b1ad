"""The input example that MLflow stores with a model, in each of its forms.

MLflow writes examples in its scoring server's forms (`dataframe_split`, `dataframe_records`,
`inputs`, `instances`; see "Deploy MLflow Model as a Local Inference Server") or as given: a
table with `columns` and `data`, a list of records, a list of values, or values by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cloche.artifacts import TensorSpec


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns."""

    columns: tuple[str, ...]
    rows: list[list[Any]]
    records: bool = False
    """Whether the rows were written as mappings."""

    def column(self, index: int) -> list[Any]:
        """Return the values of one column."""
        return [row[index] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Named:
    """One value per input."""

    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unnamed:
    """One unnamed value for the whole input of the model."""

    value: Any


def parse(document: Any, inputs: Collection[str] = ()) -> Table | Named | Unnamed:
    """Return the example in a JSON document.

    `inputs` are the model's, if known: one of them may be called `inputs`.
    """
    if isinstance(document, dict):
        return _parse_mapping(document, inputs)
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return _of_records(document)
    return Unnamed(document)


def by_input(document: Any, specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Return the values in a JSON document by the name of the input that they are for.

    Raises KeyError, ValueError or IndexError for values that are not those of the inputs.
    """
    example = parse(document, {spec.name for spec in specs})
    if len(specs) == 1 and specs[0].datatype == "BYTES" and _are_structures(example, specs[0]):
        values = document if isinstance(document, list) else next(iter(document.values()))
        return {specs[0].name: values}
    if isinstance(example, Table):
        return _of_table(example, specs)
    if isinstance(example, Named):
        return _by_name(example.values, specs)
    if len(specs) == 1:
        return {specs[0].name: example.value}
    return {spec.name: [row[i] for row in example.value] for i, spec in enumerate(specs)}


def _are_structures(example: Table | Named | Unnamed, spec: TensorSpec) -> bool:
    """Return whether mappings are the values of one input, and not the rows of a table."""
    return isinstance(example, Table) and example.records and spec.name not in example.columns


def _by_name(values: dict[str, Any], specs: Sequence[TensorSpec]) -> dict[str, Any]:
    missing = [spec.name for spec in specs if spec.name not in values and not spec.optional]
    if missing and len(specs) == 1 and len(values) == 1:
        return {specs[0].name: next(iter(values.values()))}
    if missing:
        raise KeyError(f"no value for {', '.join(missing)}")
    return values


def _of_table(table: Table, specs: Sequence[TensorSpec]) -> dict[str, Any]:
    if len(specs) == 1 and specs[0].name not in table.columns:
        return {specs[0].name: table.rows}
    columns = {name: table.column(index) for index, name in enumerate(table.columns)}
    if not {spec.name for spec in specs} & columns.keys():
        return dict(zip((spec.name for spec in specs), columns.values(), strict=True))
    return columns


def _parse_mapping(document: dict[str, Any], inputs: Collection[str]) -> Table | Named | Unnamed:
    table = document.get("dataframe_split", document)
    if isinstance(table, dict) and {"columns", "data"} <= table.keys():
        return Table(tuple(map(str, table["columns"])), table["data"])
    if isinstance(table, dict) and table.keys() - {"index"} == {"data"} and "data" not in inputs:
        return Unnamed(table["data"])  # columns that are numbers, which go by position
    if isinstance(document.get("dataframe_records"), list):
        return _of_records(document["dataframe_records"])
    for key in ("inputs", "instances"):
        # A request may also have parameters of the model.
        if document.keys() - {"params"} == {key} and key not in inputs:
            return parse(document[key], inputs)
    return Named(document)


def _of_records(records: list[dict[str, Any]]) -> Table:
    columns = tuple({column: None for record in records for column in record})
    rows = [[record.get(column) for column in columns] for record in records]
    return Table(tuple(map(str, columns)), rows, records=True)
