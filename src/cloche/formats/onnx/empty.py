"""Axes of constant size 0, which no configuration of Triton can hold.

`dims` are at least 1, or -1 for an open size (ValidateIOShape in Triton's model_config_utils.cc),
and ONNX Runtime's backend wants -1 only where the model's own size is open, and every input of the
model (CompareDimsSupported in its onnxruntime_utils.cc). So such an axis of an input is declared
open in the file that is served, and an output without elements is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity

if TYPE_CHECKING:
    from cloche.artifacts import TensorSpec


def opened(inputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Return the inputs with an open axis in place of each of size 0."""
    return tuple(
        replace(
            spec,
            shape=tuple(size or -1 for size in spec.shape),
            labels=spec.labels or (None,) * len(spec.shape),
            declared=spec.shape,
        )
        if 0 in spec.shape
        else spec
        for spec in inputs
    )


def served(outputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Return the outputs that can be served; all of them if none can."""
    return tuple(spec for spec in outputs if 0 not in spec.shape) or outputs


def findings(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> list[Finding]:
    """Return what becomes of inputs and outputs without elements."""
    found = [_opened(spec) for spec in inputs if 0 in spec.shape]
    none = [spec for spec in outputs if 0 in spec.shape]
    if none and len(none) == len(outputs):
        return [*found, *(_refused(spec) for spec in none)]
    return [*found, *(_left_out(spec) for spec in none)]


def _opened(spec: TensorSpec) -> Finding:
    return Finding(
        Severity.NOTE,
        "inspection.onnx.empty_input",
        f"The input {spec.name} has the shape {list(spec.shape)}, and Triton's configuration "
        "cannot hold an axis of size 0: the file that is served declares it open. A request may "
        "send it with the size 0.",
    )


def _refused(spec: TensorSpec) -> Finding:
    return Finding(
        Severity.ERROR,
        "inspection.onnx.empty_axis",
        f"The output {spec.name} has the shape {list(spec.shape)}, and Triton's configuration "
        "cannot hold an axis of size 0: the model has nothing to answer.",
        hint="Export the model with an output that has elements.",
    )


def _left_out(spec: TensorSpec) -> Finding:
    return Finding(
        Severity.NOTE,
        "inspection.onnx.empty_output",
        f"The output {spec.name} is left out: its shape {list(spec.shape)} has no elements, and "
        "Triton's configuration cannot hold an axis of size 0.",
    )
