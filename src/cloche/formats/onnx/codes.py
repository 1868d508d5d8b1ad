"""Two families of error codes for the same faults of an ONNX file.

A source refuses a file on disk with `source.onnx.…`. A file in an MLflow folder or a Triton
repository first meets inspection, which refuses it with `inspection.onnx.…`. Both families are
public, so both stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloche.errors import ClocheError


@dataclass(frozen=True, slots=True)
class Codes:
    """The code of each fault."""

    truncated: str
    invalid: str
    graphless: str
    """A model without a graph: cut off, or never whole."""
    damaged: str
    external: str
    """Code of the group when several files of weights have a fault."""
    outside: str
    missing: str
    short: str


SOURCE = Codes(
    truncated="source.onnx.truncated",
    invalid="source.onnx.invalid",
    graphless="source.onnx.truncated",
    damaged="source.onnx.invalid",
    external="source.onnx.external",
    outside="source.onnx.external_escapes",
    missing="source.onnx.external_missing",
    short="source.onnx.external_truncated",
)
INSPECTION = Codes(
    truncated="inspection.onnx.truncated",
    invalid="inspection.onnx.not_a_model",
    graphless="inspection.onnx.not_a_model",
    damaged="inspection.onnx.damaged",
    external="inspection.onnx.external",
    outside="inspection.onnx.external_outside",
    missing="inspection.onnx.external_missing",
    short="inspection.onnx.external_truncated",
)


def not_a_model(code: str, where: str, name: str, why: str) -> ClocheError:
    """Return the error for a file that is not an ONNX model."""
    return ClocheError(
        code,
        f"{name} is not an ONNX model: {why}.",
        where=where,
        hint="Export the model to ONNX again, or check that this is the file you meant.",
    )
