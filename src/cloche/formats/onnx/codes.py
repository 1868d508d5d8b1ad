"""Two families of error codes for the same faults of an ONNX file.

A file that a source takes from disk is refused as `source.onnx.…`; one that lies in a folder of
MLflow or in a Triton repository is seen by inspection first, and refused as `inspection.onnx.…`.
Both are public, so both stay.
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
    """The outline of a model without a graph in it: cut off, or never whole."""
    damaged: str
    external: str
    """Of the group, where several files of weights have a fault."""
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
    """Return the error for a file that is no ONNX model."""
    return ClocheError(
        code,
        f"{name} is not an ONNX model: {why}.",
        where=where,
        hint="Export the model to ONNX again, or check that this is the file you meant.",
    )
