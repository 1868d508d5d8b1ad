"""ONNX Runtime by itself, with nothing of Cloche: which cases it answers, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnx_suite import Arrays, Case

    from cloche.artifacts import TensorSpec

_SILENT = 4
CARRIED = frozenset({
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
    "float", "double", "string",
})  # fmt: skip
"""ONNX Runtime's names of the element types that numpy and Triton both have."""


def session(model: bytes) -> onnxruntime.InferenceSession:
    """Return the model loaded on the CPU; raises what the runtime raises."""
    onnxruntime.set_default_logger_severity(_SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(loaded: onnxruntime.InferenceSession, inputs: Arrays) -> Arrays:
    """Return the outputs by name; raises what the runtime raises."""
    names = [output.name for output in loaded.get_outputs()]
    answer = loaded.run(None, inputs)
    return {name: np.asarray(output) for name, output in zip(names, answer, strict=True)}


def why_not(case: Case) -> str | None:
    """Return why a case is none for Triton, None if ONNX Runtime answers it in Triton's types."""
    try:
        loaded = session(case.model)
    except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
        return f"ONNX Runtime does not load it: {_first_line(error)}"
    values = [*loaded.get_inputs(), *loaded.get_outputs()]
    other = sorted({value.type for value in values if not _is_carried(value.type)})
    if other or case.inputs is None:
        return f"Triton has no {', '.join(other) or 'such input'}"
    try:
        loaded.run(None, case.inputs)
    except Exception as error:  # noqa: BLE001
        return f"ONNX Runtime does not answer it: {_first_line(error)}"
    return None


def fault(outputs: Arrays, declared: Iterable[TensorSpec]) -> str | None:
    """Return what is wrong with an answer by what the model declares, None if nothing is."""
    for spec in declared:
        output = outputs[spec.name]
        fits = len(output.shape) == len(spec.shape) and all(
            size in {-1, has} for size, has in zip(spec.shape, output.shape, strict=True)
        )
        if not fits:
            return f"{spec.name} has the shape {output.shape} where {spec.shape} is declared"
        if not output.size:
            return f"{spec.name} has no elements"
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            return f"{spec.name} is not finite"
    return None


def _is_carried(kind: str) -> bool:
    return kind.removeprefix("tensor(").removesuffix(")") in CARRIED


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
