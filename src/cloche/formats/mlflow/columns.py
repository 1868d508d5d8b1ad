"""What the columns of a table have beside their values."""

from __future__ import annotations

from cloche.artifacts import TensorSpec
from cloche.artifacts.model import LENGTHS, MISSING


def with_marks(specs: tuple[TensorSpec, ...], *, columns: bool) -> tuple[TensorSpec, ...]:
    """Return tensors, each with a mark if it is a column whose values may be missing.

    Floats need none: they miss values as NaN.
    """
    names = {spec.name for spec in specs}
    marked: list[TensorSpec] = []
    for spec in specs:
        marked.append(spec)
        mark = spec.name + MISSING
        nullable = columns and spec.optional and not spec.datatype.startswith("FP")
        if nullable and mark not in names:
            shape = (*spec.shape[:1], 1)
            marked.append(TensorSpec(mark, "BOOL", shape, optional=True, marks=spec.name))
    return tuple(marked)


def with_lengths(specs: tuple[TensorSpec, ...], *, text: bool) -> tuple[TensorSpec, ...]:
    """Return columns, each of lists with the lengths of them: MLflow's rows need not be equal.

    `text` says whether lists of text have them as well; in answers such lists are JSON.
    """
    names = {spec.name for spec in specs}
    told: list[TensorSpec] = []
    for spec in specs:
        told.append(spec)
        lists = spec.marks is None and len(spec.shape) > 1 and spec.shape[-1] == -1
        single = spec.shape[:-1] == (1,)
        if (
            not lists
            or single
            or spec.name + LENGTHS in names
            or (spec.datatype == "BYTES" and not text)
        ):
            continue
        shape = spec.shape[:-1] if len(spec.shape) > 2 else (spec.shape[0], 1)
        name = spec.name + LENGTHS
        told.append(TensorSpec(name, "INT64", shape, optional=True, marks=spec.name))
    return tuple(told)
