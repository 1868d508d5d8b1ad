"""What the columns of a table have beside their values."""

from __future__ import annotations

from cloche.artifacts import TensorSpec
from cloche.artifacts.model import MISSING


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
