"""How close a converted model's answers are to the original's, in numbers.

Both answer the same requests in the original's environment: the sample, other values, other batch
sizes and other sizes of each open axis. Syntax for Python 3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]
    Call = Callable[[Arrays], Arrays]
    Explained = Callable[[Arrays, Arrays, Arrays, dict[str, float]], Array]

TOLERANCES = {"FP64": 1e-6, "FP32": 1e-4, "FP16": 2e-3}
"""As a fraction of the largest magnitude of an output."""


def fraction(datatype: str, asked: float | None) -> float:
    """Return how far a value may be off; `asked` counts for floats alone."""
    default = TOLERANCES.get(datatype, 0.0)
    return default if asked is None or not default else asked


class Differs(Exception):
    """The converted model does not answer as the original does, in words."""


class Output:
    """What is summed up of one output over all requests."""

    def __init__(self, datatype: str, fraction: float, *, scores: bool = True) -> None:
        """Take its datatype, and how far a value may be off, as a fraction of the scale.

        `scores` says that the largest value of a row may be read as its class.
        """
        self.datatype, self._fraction, self._scores = datatype, fraction, scores
        self.scale = self.max_absolute = self.max_relative = self.sum = 0.0
        self.count = self.rows = self.labelled = self.agreeing = self.ties = 0

    def scaled(self, expected: Array, got: Array, name: str, words: str) -> None:
        """Take one answer for the scale; raises Differs where more than values differ."""
        if expected.shape != got.shape:
            sizes = f"{list(got.shape)} instead of {list(expected.shape)}"
            raise Differs(f"{name} has the shape {sizes} for {words}")
        if expected.dtype != got.dtype:
            raise Differs(f"{name} is {got.dtype.name} instead of {expected.dtype.name}")
        if expected.dtype.kind in "fc":
            finite = np.abs(expected[np.isfinite(expected)])
            self.scale = max(self.scale, float(finite.max())) if finite.size else self.scale

    def beyond(self, expected: Array, got: Array) -> Array:
        """Return which rows are further off than the tolerance."""
        right = off(expected, got) <= self.tolerance
        by_row = right.reshape(len(expected) if expected.ndim else 1, -1)
        return np.asarray(~by_row.all(axis=1))

    def add(self, expected: Array, got: Array) -> None:
        """Count one answer."""
        self.rows += len(expected) if expected.ndim else 1
        self.count += expected.size
        apart = off(expected, got)
        if expected.dtype.kind in "fc":
            self._relative(apart, expected)
        self._labels(expected, got)
        if apart.size:
            self.max_absolute = max(self.max_absolute, float(apart.max()))
            self.sum += float(apart.sum())

    def _relative(self, apart: Array, expected: Array) -> None:
        finite = np.isfinite(expected)
        known = finite & (np.abs(expected) > 1e-3 * self.scale)
        if known.any():
            ratio = apart[known] / np.abs(expected[known])
            self.max_relative = max(self.max_relative, float(ratio.max()))

    def _labels(self, expected: Array, got: Array) -> None:
        """Count rows of labels, or whose largest value is at the same place, except ties."""
        if expected.dtype.kind not in "fc":
            same = np.asarray(expected == got).reshape(len(expected) if expected.ndim else 1, -1)
            self.labelled += len(same)
            self.agreeing += int(same.all(axis=1).sum())
            return
        if not self._scores or expected.ndim != 2 or expected.shape[1] < 2:
            return
        clear = ~close(expected, self.tolerance)
        same = expected.argmax(axis=1) == got.argmax(axis=1)
        self.labelled += int(clear.sum())
        self.agreeing += int((clear & same).sum())

    @property
    def tolerance(self) -> float:
        """Return how far a value may be off."""
        return self._fraction * (self.scale or 1.0)

    def words(self, expected: Array, got: Array) -> str:
        """Return how far an answer is off."""
        if expected.dtype.kind not in "fc":
            return f"another in {int(self.beyond(expected, got).sum())} of {len(expected)} rows"
        most = float(off(expected, got).max())
        return f"up to {most:.3g} off, {self.tolerance:.3g} allowed,"

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
            "ties": self.ties,
        }


def off(expected: Array, got: Array) -> NDArray[np.float64]:
    """Return how far apart values are: 1 for other labels, infinity for NaN on one side."""
    if expected.dtype.kind not in "fc":
        return np.asarray(expected != got).astype(np.float64)
    wanted, given = expected.astype(float), got.astype(float)
    same = (wanted == given) | (np.isnan(wanted) & np.isnan(given))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(given - wanted))
    return np.where(np.isnan(apart), np.inf, apart)


def close(scores: Array, tolerance: float) -> Array:
    """Return the rows of a matrix whose two largest values are within a tolerance."""
    top = np.sort(scores.astype(float), axis=1)[:, -2:]
    return np.asarray((top[:, 1] - top[:, 0]) <= tolerance)


def measure(
    original: Call,
    converted: Call,
    cases: list[tuple[str, Arrays]],
    outputs: dict[str, Output],
    explained: Explained,
) -> list[dict[str, Any]]:
    """Return the numbers of each output; raises Differs where they are not close enough.

    A case is what it tries, in words, and a request. Rows that `explained` finds to be ties are
    counted as such, and in no other number.
    """
    answered = [(words, *_both(original, converted, words, request)) for words, request in cases]
    for words, request, expected, got in answered:
        for name, output in outputs.items() if request else ():
            output.scaled(expected[name], got[name], name, words)
    for words, request, expected, got in answered:
        if not request:
            continue
        beyond = {name: out.beyond(expected[name], got[name]) for name, out in outputs.items()}
        tied = _tied((request, expected, got), beyond, outputs, explained)
        for name, output in outputs.items():
            if (beyond[name] & ~tied).any():
                raise Differs(f"{name} is {output.words(expected[name], got[name])} for {words}")
            output.ties += int(tied.sum())
            rows = ~tied if tied.any() else Ellipsis
            output.add(expected[name][rows], got[name][rows])
    return [output.described(name) for name, output in outputs.items()]


def report(
    original: Call,
    converted: Call,
    extremes: Iterable[tuple[str, Arrays]],
    outputs: dict[str, Output],
) -> list[str]:
    """Return sentences about extreme values that both models do not answer alike."""
    notes = []
    for words, request in extremes:
        expected, refusal = _answer(original, request)
        got, other = _answer(converted, request)
        if refusal is not None or other is not None:
            if (refusal is None) != (other is None):
                side = "converted" if other is not None else "original"
                notes.append(f"Of extreme values, only the {side} model refuses {words}.")
            continue
        for name, output in outputs.items():
            if (
                expected[name].shape != got[name].shape
                or output.beyond(expected[name], got[name]).any()
            ):
                said = output.words(expected[name], got[name])
                notes.append(f"Of extreme values, {words}: {name} is {said.rstrip(',')}.")
    return notes


def _both(
    original: Call, converted: Call, words: str, request: Arrays
) -> tuple[Arrays, Arrays, Arrays]:
    """Return the request and both answers, all empty where both refuse it."""
    expected, refusal = _answer(original, request)
    got, other = _answer(converted, request)
    if (refusal is None) != (other is None):
        side = "converted" if other is not None else "original"
        raise Differs(f"only the {side} model refuses {words}: {refusal or other}")
    return (request if refusal is None else {}), expected, got


def _tied(
    asked: tuple[Arrays, Arrays, Arrays],
    beyond: dict[str, Array],
    outputs: dict[str, Output],
    explained: Explained,
) -> Array:
    """Return the rows that are ties, among those that are further off than allowed.

    `asked` are a request and both answers; without rows in all of them there is no tie.
    """
    lengths = {len(rows) for rows in beyond.values()}
    lengths |= {len(array) if array.ndim else 0 for each in asked for array in each.values()}
    if len(lengths) != 1:
        return np.zeros(1, bool)
    wrong = np.logical_or.reduce(list(beyond.values()))
    tied = np.zeros(len(wrong), bool)
    if wrong.any():
        request, expected, got = (
            {name: array[wrong] for name, array in each.items()} for each in asked
        )
        allowed = {name: output.tolerance for name, output in outputs.items()}
        tied[wrong] = explained(request, expected, got, allowed)
    return tied


def _answer(model: Call, request: Arrays) -> tuple[Arrays, str | None]:
    try:
        answer = model({name: array.copy() for name, array in request.items()})
        return {name: _bytes(array) for name, array in answer.items()}, None
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
        options.log_severity_level = 4  # a refusal is no news
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [output.name for output in self._session.get_outputs()]

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name; text is bytes on both sides."""
        given = {name: _mapped(array, _as_text) for name, array in arrays.items()}
        values = self._session.run(self.outputs, given)
        return {
            name: _mapped(np.asarray(value), _as_bytes)
            for name, value in zip(self.outputs, values)  # noqa: B905
        }


def _mapped(array: Array, change: Callable[[Any], Any]) -> Array:
    if array.dtype.kind != "O":
        return array
    changed = np.empty(array.size, dtype=object)
    changed[:] = [change(each) for each in array.ravel()]
    return changed.reshape(array.shape)


def _as_text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")
