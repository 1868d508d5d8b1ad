"""How close a converted model's answers are to the original's, in numbers.

Both answer the same requests in the original's environment: the sample, other values, other batch
sizes and other sizes of each open axis. Syntax for Python 3.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

TOLERANCES = {"FP64": 1e-6, "FP32": 1e-4, "FP16": 2e-3}
"""As a fraction of the largest magnitude of an output."""


class Differs(Exception):
    """The converted model does not answer as the original does, in words."""


class Output:
    """What is summed up of one output over all requests."""

    def __init__(self, datatype: str) -> None:
        """Begin with nothing."""
        self.datatype = datatype
        self.scale = self.max_absolute = self.max_relative = self.sum = 0.0
        self.count = self.rows = self.labelled = self.agreeing = 0

    def add(self, expected: Array, got: Array, name: str, words: str) -> None:
        """Count one answer; raises Differs for one that differs in more than its values."""
        if expected.shape != got.shape:
            sizes = f"{list(got.shape)} instead of {list(expected.shape)}"
            raise Differs(f"{name} has the shape {sizes} for {words}")
        if expected.dtype != got.dtype:
            raise Differs(f"{name} is {got.dtype.name} instead of {expected.dtype.name}")
        self.rows += len(expected) if expected.ndim else 1
        self.count += expected.size
        if expected.dtype.kind not in "fc":
            off = np.asarray(expected != got).astype(float)
        else:
            off = self._off(expected.astype(float), got.astype(float))
            self._labels(expected, got)
        if off.size:
            self.max_absolute = max(self.max_absolute, float(off.max()))
            self.sum += float(off.sum())

    def _off(self, expected: Array, got: Array) -> Array:
        finite = np.isfinite(expected)
        same = (expected == got) | (np.isnan(expected) & np.isnan(got))
        with np.errstate(invalid="ignore"):
            off = np.where(same, 0.0, np.abs(got - expected))
        off = np.where(np.isnan(off), np.inf, off)
        if finite.any():
            largest = float(np.abs(expected[finite]).max())
            self.scale = max(self.scale, largest)
            known = finite & (np.abs(expected) > 1e-3 * largest)
            if known.any():
                ratio = off[known] / np.abs(expected[known])
                self.max_relative = max(self.max_relative, float(ratio.max()))
        return off

    def _labels(self, expected: Array, got: Array) -> None:
        """Count rows whose largest value is at the same place, except ties."""
        if expected.ndim != 2 or expected.shape[1] < 2:
            return
        top = np.sort(expected.astype(float), axis=1)[:, -2:]
        clear = (top[:, 1] - top[:, 0]) > self.tolerance
        same = expected.argmax(axis=1) == got.argmax(axis=1)
        self.labelled += int(clear.sum())
        self.agreeing += int((clear & same).sum())

    @property
    def tolerance(self) -> float:
        """Return how far a value may be off."""
        return TOLERANCES.get(self.datatype, 0.0) * (self.scale or 1.0)

    def described(self, name: str) -> dict[str, Any]:
        """Return the numbers as JSON."""
        return {
            "name": name,
            "datatype": self.datatype,
            "rows": self.rows,
            "scale": self.scale,
            "tolerance": self.tolerance,
            "max_absolute": self.max_absolute,
            "mean_absolute": self.sum / self.count if self.count else 0.0,
            "max_relative": self.max_relative,
            "labels": [self.agreeing, self.labelled] if self.labelled else None,
        }


def measure(
    original: Callable[[Arrays], Arrays],
    converted: Callable[[Arrays], Arrays],
    cases: list[tuple[str, Arrays]],
    datatypes: dict[str, str],
) -> list[dict[str, Any]]:
    """Return the numbers of each output; raises Differs where they are not close enough.

    A case is what it tries, in words, and a request.
    """
    totals = {name: Output(datatype) for name, datatype in datatypes.items()}
    for words, request in cases:
        expected, refusal = _answer(original, request)
        got, other = _answer(converted, request)
        if (refusal is None) != (other is None):
            side = "converted" if other is not None else "original"
            raise Differs(f"only the {side} model refuses {words}: {refusal or other}")
        for name, total in totals.items():
            if refusal is None:
                total.add(expected[name], got[name], name, words)
    for name, total in totals.items():
        if not total.max_absolute <= total.tolerance:
            raise Differs(
                f"{name} is up to {total.max_absolute:.3g} off, {total.tolerance:.3g} allowed"
            )
    return [total.described(name) for name, total in totals.items()]


def _answer(model: Callable[[Arrays], Arrays], request: Arrays) -> tuple[Arrays, str | None]:
    try:
        return {name: _bytes(array) for name, array in model(dict(request)).items()}, None
    except Exception as error:  # noqa: BLE001 - whatever a model raises says that it refuses
        return {}, " ".join(str(error).split())[:300]


def _bytes(array: Array) -> Array:
    """Return texts as bytes, which is what clients see of them; other arrays as they are."""
    if array.dtype.kind not in "OSU":
        return array
    encoded = np.empty(array.size, object)
    encoded[:] = [each.encode() if isinstance(each, str) else each for each in array.ravel()]
    return encoded.reshape(array.shape)


class OnnxModel:
    """A converted file in ONNX Runtime, on one processor and without surprises."""

    def __init__(self, path: str) -> None:
        """Load the file; raises what ONNX Runtime raises."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [output.name for output in self._session.get_outputs()]

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name."""
        values = self._session.run(self.outputs, arrays)
        return {name: np.asarray(value) for name, value in zip(self.outputs, values)}  # noqa: B905
