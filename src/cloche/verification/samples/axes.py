"""The sizes of a request's axes: one for each label, sums where a label is one."""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloche.artifacts import ModelFacts, TensorSpec

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}
_TOTAL = re.compile(r"total", re.IGNORECASE)
_PAST = re.compile(r"past|cache", re.IGNORECASE)
_NEW = re.compile(r"seq|len|new|token|time", re.IGNORECASE)
_LARGEST = 2**20


def shapes(facts: ModelFacts, *, rows: int, size: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each input; dynamic axes have the `size` unless the model asks otherwise.

    With `rows` > 0 the first axis of every input has that size, and so has every axis with the same
    label.
    """
    known = dict(facts.sizes)
    for spec in facts.inputs:
        if rows and spec.shape:
            known[spec.axis(0)] = rows
    names = {spec.axis(i) for spec in facts.inputs for i, axis in enumerate(spec.shape) if axis < 0}
    for name in sorted(names - known.keys()):
        if name.isidentifier() and not _TOTAL.search(name):
            known[name] = size
    for name in sorted(names - known.keys()):
        known[name] = _derived(name, known, size)
    return {spec.name: _shape(spec, rows, known) for spec in facts.inputs}


def _shape(spec: TensorSpec, rows: int, known: Mapping[str, int]) -> tuple[int, ...]:
    shape = [axis if axis >= 0 else known[spec.axis(i)] for i, axis in enumerate(spec.shape)]
    if spec.declared is not None and len(spec.declared) == len(shape):
        for axis, size in enumerate(spec.declared):
            if size == 0:  # opened for the server; the model itself takes no other size
                shape[axis] = 0
    if rows and shape:
        shape[0] = rows
    return tuple(shape)


def _derived(name: str, known: Mapping[str, int], size: int) -> int:
    """Return the size of an axis whose label is a sum of others, or says that it is one."""
    past = [label for label in known if _PAST.search(label)]
    if _TOTAL.search(name) and name.isidentifier() and past:
        new = [label for label in known if _NEW.search(label) and label not in past]
        return known[past[0]] + (known[new[0]] if new else 1)
    try:
        found = _evaluate(ast.parse(name, mode="eval").body, known)
    except (SyntaxError, ValueError, KeyError, ZeroDivisionError):
        return size
    return found if 0 < found <= _LARGEST else size


def _evaluate(node: ast.expr, known: Mapping[str, int]) -> int:
    """Return the value of a sum, product or difference of labels; raises for anything else."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _evaluate(node.left, known), _evaluate(node.right, known)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise ValueError("not a sum of labels")
