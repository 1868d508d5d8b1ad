"""An answer of a server, read and judged without a reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloche.verification.comparison import Answer, mismatch, nonfinite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloche.artifacts import TensorDifference, TensorSpec


def read(body: bytes, header_length: int | None) -> Answer:
    """Return the tensors of an answer with the datatypes it declares; raises UsageError."""
    from cloche.clients.kserve import tensors

    arrays = tensors.decode(body, header_length)
    described = tensors.read_header(body, header_length).get("outputs") or ()
    return Answer(arrays, {tensor["name"]: tensor["datatype"] for tensor in described})


def judge_types(specs: tuple[TensorSpec, ...], got: Answer) -> tuple[TensorDifference, ...]:
    """Judge each declared output by its type and shape; values that are not finite are counted."""
    return tuple(_judge(spec, got) for spec in specs)


def _judge(spec: TensorSpec, got: Answer) -> TensorDifference:
    array = got.tensors.get(spec.name)
    if array is None:
        names = ", ".join(got.tensors) or "no output at all"
        return mismatch(spec.name, spec.datatype, 0, f"is missing; the answer has {names}")
    trouble = _trouble(spec, array, got.datatypes[spec.name])
    if trouble:
        return mismatch(spec.name, spec.datatype, array.size, trouble)
    found = mismatch(spec.name, spec.datatype, array.size, "")
    return replace(found, mismatched=0, detail=None, nonfinite=nonfinite(array))


def _trouble(spec: TensorSpec, array: NDArray[Any], datatype: str) -> str:
    if datatype != spec.datatype:
        return f"has the type {datatype} where {spec.datatype} is declared"
    fits = len(array.shape) == len(spec.shape) and all(
        declared in {-1, size} for declared, size in zip(spec.shape, array.shape, strict=True)
    )
    return "" if fits else f"has the shape {list(array.shape)} where {list(spec.shape)} is declared"
