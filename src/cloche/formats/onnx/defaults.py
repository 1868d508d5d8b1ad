"""Initialisers that are inputs too: a caller may send another value in place of the model's own.

A few are meant so, such as a temperature or a threshold. Exporters that list every weight as an
input do not mean it, and hundreds of optional inputs would hide those that count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity
from cloche.formats.onnx import graph as walk

if TYPE_CHECKING:
    from onnx import ModelProto

    from cloche.artifacts import TensorSpec

_MOST = 16
_LARGEST = 1024
"""Elements of a default that is meant to be overridden."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The optional inputs of a model, and what is worth telling about the others."""

    inputs: tuple[TensorSpec, ...]
    findings: tuple[Finding, ...] = ()


def of(model: ModelProto, where: str) -> Defaults:
    """Return the optional inputs of a stripped model; `where` is its file."""
    values = walk.overridable(model)
    sizes = {tensor.name: _elements(tensor.dims) for tensor in model.graph.initializer}
    large = [value for value in values if sizes.get(value.name, _LARGEST + 1) > _LARGEST]
    if not large and len(values) <= _MOST:
        return Defaults(walk.specs(values, "input", model, where, optional=True))
    names = ", ".join(value.name for value in values[:5])
    what = (
        f"{len(values)} initialisers are inputs too ({names}{', …' if len(values) > 5 else ''}). "
        "They are taken for weights: requests cannot replace them."
    )
    hint = (
        "Export the model with keep_initializers_as_inputs=False, and list as inputs only what "
        "requests should set."
    )
    return Defaults((), (Finding(Severity.NOTE, "inspection.onnx.defaults", what, hint=hint),))


def _elements(dims: object) -> int:
    elements = 1
    for size in dims:  # type: ignore[attr-defined]
        elements *= size
    return elements
