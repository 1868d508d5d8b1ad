"""A request in CSV: columns by name, or rows of one tensor."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from cloche.errors import UsageError

if TYPE_CHECKING:
    from cloche.inputs.declared import Declared


def read(text: str, where: str, declared: Declared) -> Any:
    """Return `{column: values}` if the model's inputs are columns, else rows of numbers.

    A first line that names the inputs, or has no number, is the header.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise UsageError("infer.csv", f"This is not CSV: {error}.", where=where) from None
    if not rows:
        raise UsageError("infer.csv", "The file is empty.", where=where)
    _refuse_ragged(rows, where)
    names = [cell.strip() for cell in rows[0]]
    inputs = {tensor.name: tensor for tensor in declared.inputs}
    if len(inputs) > 1 or set(inputs) <= set(names):
        return _columns(names, rows[1:], inputs, where)
    (only,) = inputs.values()
    body = rows if any(_is_number(cell) for cell in rows[0]) else rows[1:]
    if only.datatype == "BYTES":
        return body
    return [[_number(cell, only.datatype, where, line) for cell in row]
            for line, row in enumerate(body, 1 + len(rows) - len(body))]  # fmt: skip


def _refuse_ragged(rows: list[list[str]], where: str) -> None:
    for line, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            what = f"Line {line} has {len(row)} cells, the first line has {len(rows[0])}."
            raise UsageError("infer.csv", what, where=f"{where}:{line}")


def _columns(
    names: list[str], rows: list[list[str]], inputs: dict[str, Any], where: str
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
            if name in nullable and not row[index].strip()
            else _cell(row[index], tensor, datatype, where, line)
            for line, row in enumerate(rows, 2)
        ]
    return columns


def _cell(cell: str, tensor: Any, datatype: str, where: str, line: int) -> Any:
    """Return a cell; a list in a column of lists is JSON."""
    lists = tensor is not None and len(tensor.shape) > 1 and tensor.shape[-1] != 1
    if not lists or not cell.lstrip().startswith("["):
        return _number(cell, datatype, where, line)
    try:
        return json.loads(cell)
    except ValueError:
        what = f"{cell!r} is no list in JSON."
        raise UsageError("infer.csv", what, where=f"{where}:{line}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, datatype: str, where: str, line: int) -> Any:
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
        raise UsageError(
            "infer.csv", f"{cell!r} is not {datatype}.", where=f"{where}:{line}"
        ) from None
