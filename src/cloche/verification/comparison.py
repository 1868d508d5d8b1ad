"""Comparing the tensors of two answers, with a tolerance per datatype.

Values agree if |got - expected| ≤ absolute + relative·|expected|. The absolute part is a fraction
of the largest magnitude in the expected tensor: tiny probabilities do not match everything, and
values near zero among large ones do not fail for rounding. NaN equals NaN. The fractions allow for
another order of summation, and for the reduced-precision multiplication that accelerators use by
default (TF32 has 10 bits of mantissa). Integers, booleans and strings must be equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.artifacts import TensorDifference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_FLOATS: dict[str, tuple[float, float]] = {
    "FP64": (1e-5, 1e-7),
    "FP32": (1e-3, 1e-4),
    "FP16": (1e-2, 1e-3),
    "BF16": (2e-2, 1e-2),
}
"""Relative tolerance, and absolute tolerance as a fraction of the largest expected magnitude."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's tensors by name, and their datatypes in the protocol's names."""

    tensors: Mapping[str, NDArray[Any]]
    datatypes: Mapping[str, str]


def compare(expected: Answer, got: Answer) -> tuple[TensorDifference, ...]:
    """Return one entry per expected output; its `detail` is None if it agrees."""
    return tuple(_compare_output(name, expected, got) for name in expected.tensors)


def _compare_output(name: str, expected: Answer, got: Answer) -> TensorDifference:
    wanted, datatype = expected.tensors[name], expected.datatypes[name]
    if name not in got.tensors:
        names = ", ".join(got.tensors) or "no output at all"
        return _mismatch(name, datatype, wanted, f"is missing; the answer has {names}")
    answered = got.tensors[name]
    if got.datatypes[name] != datatype:
        detail = f"has the type {got.datatypes[name]} where {datatype} was expected"
        return _mismatch(name, datatype, wanted, detail)
    if answered.shape != wanted.shape:
        shapes = f"{list(answered.shape)} where {list(wanted.shape)} was expected"
        return _mismatch(name, datatype, wanted, f"has the shape {shapes}")
    if datatype in _FLOATS:
        return _compare_floats(name, datatype, wanted, answered)
    return _compare_exactly(name, datatype, wanted, answered)


def _mismatch(name: str, datatype: str, wanted: NDArray[Any], detail: str) -> TensorDifference:
    return TensorDifference(
        name=name,
        datatype=datatype,
        elements=wanted.size,
        mismatched=max(wanted.size, 1),
        max_absolute=None,
        max_relative=None,
        absolute_tolerance=0.0,
        relative_tolerance=0.0,
        detail=f"The output {name} {detail}.",
    )


def _compare_floats(
    name: str, datatype: str, wanted: NDArray[Any], answered: NDArray[Any]
) -> TensorDifference:
    import numpy as np

    expected, got = wanted.astype(np.float64), answered.astype(np.float64)
    relative, fraction = _FLOATS[datatype]
    finite = np.isfinite(expected) & np.isfinite(got)
    absolute = fraction * (float(np.abs(expected[finite]).max()) if finite.any() else 1.0)
    absolute = absolute or fraction
    same = (expected == got) | (np.isnan(expected) & np.isnan(got))
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.where(same, 0.0, np.abs(got - expected))
        allowed = absolute + relative * np.abs(expected)
        wrong = ~(same | (finite & (off <= allowed)))
        ratio = off / np.maximum(np.abs(expected), np.finfo(np.float64).tiny)
    detail = None
    if wrong.any():
        worst = int(np.argmax(np.where(wrong, np.where(np.isfinite(off), off, np.inf), -1.0)))
        by = f"{off.flat[worst]:.3g} off, {allowed.flat[worst]:.3g} allowed"
        detail = _detail(name, wanted, answered, worst=worst, count=int(wrong.sum()), by=by)
    return TensorDifference(
        name=name,
        datatype=datatype,
        elements=wanted.size,
        mismatched=int(wrong.sum()),
        max_absolute=_largest(off[finite]),
        max_relative=_largest(ratio[finite & (np.abs(expected) > absolute)]),
        absolute_tolerance=absolute,
        relative_tolerance=relative,
        detail=detail,
    )


def _largest(values: NDArray[Any]) -> float | None:
    return float(values.max()) if values.size else None


def _compare_exactly(
    name: str, datatype: str, wanted: NDArray[Any], answered: NDArray[Any]
) -> TensorDifference:
    import numpy as np

    wrong = np.asarray(wanted != answered)
    off = None
    if datatype not in {"BYTES", "BOOL"}:
        # Python's integers neither wrap around nor lose digits; 64-bit ones would.
        pairs = zip(wanted[wrong].tolist(), answered[wrong].tolist(), strict=True)
        off = float(max((abs(b - a) for a, b in pairs), default=0))
    detail = None
    if wrong.any():
        worst = int(np.flatnonzero(wrong)[0])
        detail = _detail(
            name, wanted, answered, worst=worst, count=int(wrong.sum()), by="must be the same"
        )
    return TensorDifference(
        name=name,
        datatype=datatype,
        elements=wanted.size,
        mismatched=int(wrong.sum()),
        max_absolute=off,
        max_relative=None,
        absolute_tolerance=0.0,
        relative_tolerance=0.0,
        detail=detail,
    )


def _detail(
    name: str, wanted: NDArray[Any], answered: NDArray[Any], *, worst: int, count: int, by: str
) -> str:
    import numpy as np

    index = [int(axis) for axis in np.unravel_index(worst, wanted.shape)]
    expected, got = _value_text(wanted.flat[worst]), _value_text(answered.flat[worst])
    values = f"{count} of {wanted.size} values differ" if wanted.size > 1 else "its value differs"
    return f"The output {name} at {index} is {got} instead of {expected} ({by}); {values}."


def _value_text(value: Any) -> str:
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return repr(text if len(text) <= 60 else text[:57] + "…")
    return f"{value:.6g}" if hasattr(value, "dtype") and value.dtype.kind == "f" else str(value)
