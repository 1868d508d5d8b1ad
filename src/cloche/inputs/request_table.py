"""A request in CSV: columns by name, or rows of one tensor."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError
from cloche.units import count_text

if TYPE_CHECKING:
    from cloche.inputs.declared import Declared


def read(text: str, where: str, declared: Declared) -> Any:
    """Return `{column: values}` if the model's inputs are columns, else rows of numbers.

    A first line that names the inputs, or has no number, is the header.
    """
    reader = csv.reader(io.StringIO(text))
    try:
        # A row may have several lines, and empty lines are none.
        rows = [_Row(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        place = f"{where}:{reader.line_num}"
        raise UsageError("infer.csv", f"This is not CSV: {error}.", where=place) from None
    if not rows:
        raise UsageError("infer.csv", "The file is empty.", where=where)
    _refuse_ragged(rows, where)
    names = [cell.strip() for cell in rows[0].cells]
    inputs = {tensor.name: tensor for tensor in declared.inputs}
    if len(inputs) > 1 or set(inputs) <= set(names):
        return _columns(names, rows[1:], inputs, where)
    (only,) = inputs.values()
    return _rows(names, rows, only.datatype, where)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    """The last line of the file that it has."""
    cells: list[str]


def _refuse_ragged(rows: list[_Row], where: str) -> None:
    first = rows[0]
    for row in rows:
        if len(row.cells) != len(first.cells):
            has = count_text(len(row.cells), "cell")
            what = f"Line {row.line} has {has}, line {first.line} has {len(first.cells)}."
            left = [cell.strip() for cell in first.cells[len(row.cells) :]]
            if left and not any(map(_is_number, first.cells)):
                what += f" It has nothing for the column {left[0]!r}."
            raise UsageError("infer.csv", what, where=f"{where}:{row.line}")


def _rows(names: list[str], rows: list[_Row], datatype: str, where: str) -> list[list[Any]]:
    """Return the rows of one tensor; a column without a name has a number."""
    is_headed = not any(_is_number(cell) for cell in rows[0].cells)
    body = rows[1:] if is_headed else rows
    if datatype == "BYTES":
        return [row.cells for row in body]
    titles = [repr(name) if is_headed else str(at) for at, name in enumerate(names, 1)]
    return [
        [
            _number(cell, datatype, f"{where}:{row.line}", title)
            for cell, title in zip(row.cells, titles, strict=True)
        ]
        for row in body
    ]


def _columns(
    names: list[str], rows: list[_Row], inputs: dict[str, Any], where: str
) -> dict[str, list[Any]]:
    """Return all columns; those that are not inputs are refused by name later.

    An empty cell is a missing value, where the input may miss one.
    """
    columns: dict[str, list[Any]] = {}
    nullable = {tensor.marks for tensor in inputs.values()}
    for index, name in enumerate(names):
        tensor = inputs.get(name)
        datatype = tensor.datatype if tensor is not None else "BYTES"
        columns[name] = [
            None
            if name in nullable and not row.cells[index].strip()
            else _cell(row.cells[index], tensor, datatype, f"{where}:{row.line}", repr(name))
            for row in rows
        ]
    return columns


def _cell(cell: str, tensor: Any, datatype: str, where: str, column: str) -> Any:
    """Return a cell; a list in a column of lists is JSON."""
    lists = tensor is not None and len(tensor.shape) > 1 and tensor.shape[-1] != 1
    if not lists or not cell.lstrip().startswith("["):
        return _number(cell, datatype, where, column)
    try:
        return json.loads(cell)
    except ValueError:
        what = f"Column {column} has {cell!r}, which is no list in JSON."
        raise UsageError("infer.csv", what, where=where) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, datatype: str, where: str, column: str) -> Any:
    """Return a cell in the datatype; an empty one is NaN if the datatype has it."""
    text = cell.strip()
    if datatype == "BYTES":
        return cell
    if datatype == "BOOL" and text.lower() in {"true", "false", "0", "1"}:
        return text.lower() in {"true", "1"}
    try:
        if datatype.startswith(("FP", "BF")):
            return float(text or "nan")
        return int(text)
    except ValueError:
        found = f"{cell!r}, which" if text else "an empty cell, which"
        what = f"Column {column} has {found} is not {datatype}."
        raise UsageError("infer.csv", what, where=where) from None
