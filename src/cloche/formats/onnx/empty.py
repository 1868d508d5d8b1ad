"""Axes of constant size 0, which no configuration of Triton can hold.

`dims` are at least 1, or -1 for an open size (ValidateIOShape in Triton's model_config_utils.cc),
and ONNX Runtime's backend wants -1 only where the model's own size is open, and every input of the
model (CompareDimsSupported in its onnxruntime_utils.cc). So an output without elements can only be
left out, and an input without elements keeps its model from being served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity

if TYPE_CHECKING:
    from cloche.artifacts import TensorSpec


def served(outputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """Return the outputs that can be served; all of them if none can."""
    return tuple(spec for spec in outputs if 0 not in spec.shape) or outputs


def findings(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> list[Finding]:
    """Return what becomes of inputs and outputs without elements."""
    found = [_refused("input", spec) for spec in inputs if 0 in spec.shape]
    none = [spec for spec in outputs if 0 in spec.shape]
    if none and len(none) == len(outputs):
        return [*found, *(_refused("output", spec) for spec in none)]
    return [*found, *(_left_out(spec) for spec in none)]


def _refused(kind: str, spec: TensorSpec) -> Finding:
    return Finding(
        Severity.ERROR,
        "inspection.onnx.empty_axis",
        f"The {kind} {spec.name} has the shape {list(spec.shape)}, and Triton's configuration "
        "cannot hold an axis of size 0.",
        hint="Export the model with that axis dynamic, or set it with "
        "onnx.tools.update_model_dims; requests may then have a size of 0 in it.",
    )


def _left_out(spec: TensorSpec) -> Finding:
    return Finding(
        Severity.NOTE,
        "inspection.onnx.empty_output",
        f"The output {spec.name} is left out: its shape {list(spec.shape)} has no elements, and "
        "Triton's configuration cannot hold an axis of size 0.",
    )
