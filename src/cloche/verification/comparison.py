"""Comparing the tensors of two answers.

Floats agree if |got - expected| ≤ tolerance · scale, where the scale is the largest finite
magnitude of the expected tensor: values near zero among large ones do not fail for rounding. NaN
equals NaN, an infinity equals the same infinity. Integers, booleans and text must be equal.

The tolerance of an output is the floor of its type, or four times the noise of the model itself
where that was measured and is more. An output whose tolerance would be above `LARGEST` is not
compared: only its type and shape are judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Judge, TensorDifference
from cloche.artifacts.service import LARGEST_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FLOORS: dict[str, tuple[float, float]] = {
    "FP64": (1e-7, 1e-7),
    "FP32": (1e-4, 2e-3),
    "FP16": (2e-3, 2e-3),
    "BF16": (2e-2, 2e-2),
}
"""By type, as a fraction of the scale: on a CPU, and where matrices may be multiplied in TF32.

Half a unit in the last place is 1e-16, 6e-8, 5e-4 and 4e-3 (IEEE 754; bfloat16 has 8 bits of
significand). Sums in another order lose a factor that grows with the square root of their length
(Higham, "Accuracy and Stability of Numerical Algorithms", 4.2): FP32 has room for 10⁶ terms. FP64
tensors are often made from FP32 ones, and the shorter types are summed in FP32. TF32 has 10 bits of
significand, so 5e-4 (NVIDIA, "Accelerating AI Training with NVIDIA TF32 Tensor Cores") for each of
a model's layers: 1.4e-3 was the most of ten models on a GPU (bench/devices/arithmetic.py, with the
figures in docs/verification.md).
"""
LARGEST = LARGEST_TOLERANCE
_TIMES_THE_NOISE = 4.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's tensors by name, and their datatypes in the protocol's names."""

    tensors: Mapping[str, NDArray[Any]]
    datatypes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The tolerance of each output; `noise` is that of `cloche.verification.noise`."""

    noise: Mapping[str, float | None] = field(default_factory=dict)
    gpu: bool = False
    """Whether the server has a GPU, which may multiply in TF32."""

    def of(self, name: str, datatype: str) -> float | None:
        """Return the tolerance of an output; None if its values cannot be compared."""
        floor = FLOORS.get(datatype, (0.0, 0.0))[self.gpu]
        if name not in self.noise:
            return floor
        noise = self.noise[name]
        if noise is None or _TIMES_THE_NOISE * noise > max(LARGEST, floor):
            return None
        return max(floor, _TIMES_THE_NOISE * noise)


def as_noise(tolerance: float) -> float:
    """Return the noise by which an output has a tolerance, both as fractions of its scale."""
    return tolerance / _TIMES_THE_NOISE


FLOORS_ALONE = Tolerances()


def compare(
    expected: Answer, got: Answer, tolerances: Tolerances = FLOORS_ALONE
) -> tuple[TensorDifference, ...]:
    """Return one entry per expected output; its `detail` is None if it agrees."""
    return tuple(_compare_output(name, expected, got, tolerances) for name in expected.tensors)


def _compare_output(
    name: str, expected: Answer, got: Answer, tolerances: Tolerances
) -> TensorDifference:
    wanted, datatype = expected.tensors[name], expected.datatypes[name]
    if name not in got.tensors:
        names = ", ".join(got.tensors) or "no output at all"
        return mismatch(name, datatype, wanted.size, f"is missing; the answer has {names}")
    answered = got.tensors[name]
    tolerance = tolerances.of(name, datatype)
    if got.datatypes[name] != datatype:
        detail = f"has the type {got.datatypes[name]} where {datatype} was expected"
        return mismatch(name, datatype, wanted.size, detail)
    if answered.shape != wanted.shape and not (tolerance is None and answered.ndim == wanted.ndim):
        shapes = f"{list(answered.shape)} where {list(wanted.shape)} was expected"
        return mismatch(name, datatype, wanted.size, f"has the shape {shapes}")
    if tolerance is None:
        return _by_type(name, datatype, answered)
    if datatype in FLOORS:
        return _compare_floats(name, datatype, wanted, answered, tolerance)
    return _compare_exactly(name, datatype, wanted, answered)


def mismatch(name: str, datatype: str, elements: int, detail: str) -> TensorDifference:
    """Return the entry of an output that cannot be compared."""
    return TensorDifference(
        name=name,
        datatype=datatype,
        elements=elements,
        mismatched=max(elements, 1),
        max_absolute=None,
        max_relative=None,
        absolute_tolerance=0.0,
        relative_tolerance=0.0,
        detail=f"The output {name} {detail}.",
    )


def nonfinite(array: NDArray[Any]) -> int:
    """Return how many elements of an array are NaN or infinite."""
    import numpy as np

    return int((~np.isfinite(array)).sum()) if array.dtype.kind == "f" else 0


def _by_type(name: str, datatype: str, answered: NDArray[Any]) -> TensorDifference:
    """Return the entry of an output of the right type and rank, whose values vary."""
    found = mismatch(name, datatype, answered.size, "")
    return replace(found, mismatched=0, detail=None, nonfinite=nonfinite(answered), by=Judge.TYPES)


def _compare_floats(
    name: str,
    datatype: str,
    wanted: NDArray[Any],
    answered: NDArray[Any],
    tolerance: float,
) -> TensorDifference:
    import numpy as np

    expected, got = wanted.astype(np.float64), answered.astype(np.float64)
    finite = np.isfinite(expected) & np.isfinite(got)
    known = np.abs(expected[np.isfinite(expected)])
    absolute = tolerance * (float(known.max()) if known.size and known.max() > 0 else 1.0)
    same = (expected == got) | (np.isnan(expected) & np.isnan(got))
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.where(same, 0.0, np.abs(got - expected))
        wrong = ~(same | (finite & (off <= absolute)))
        ratio = off / np.maximum(np.abs(expected), np.finfo(np.float64).tiny)
    detail = None
    if wrong.any():
        worst = int(np.argmax(np.where(wrong, np.where(np.isfinite(off), off, np.inf), -1.0)))
        by = f"{off.flat[worst]:.3g} off, {absolute:.3g} allowed"
        detail = _detail(name, wanted, answered, worst=worst, count=int(wrong.sum()), by=by)
    return TensorDifference(
        name=name,
        datatype=datatype,
        elements=wanted.size,
        mismatched=int(wrong.sum()),
        max_absolute=_largest(off[finite]),
        max_relative=_largest(ratio[finite & (np.abs(expected) > absolute)]),
        absolute_tolerance=absolute,
        relative_tolerance=0.0,
        detail=detail,
        nonfinite=nonfinite(answered),
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
