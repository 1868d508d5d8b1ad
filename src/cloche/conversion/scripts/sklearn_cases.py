"""Requests that show where a converted estimator may differ. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interface import Interface, Tensor
    from numpy.typing import NDArray
    from sklearn_values import Known

    Array = NDArray[Any]
    Arrays = dict[str, Array]

_ROWS = 64
_BATCHES = (1, 2, 5)
_COLUMNS = 16
"""Columns that are tried alone, of a wide matrix."""
UNKNOWN = "none of the categories"
_TEXTS = (
    ("empty text", [""]),
    (
        "text beyond ASCII",
        ["\u00e9t\u00e9 na\u00efve", "stra\u00dfe", "\u4e2d\u6587", "\U0001f600 ok"],
    ),
    ("an unknown text", [UNKNOWN]),
    ("text of another case", ["GOOD Film", "The BAD"]),
    ("text with signs", ["it's good-bad, isn't it? 3.14", "a_b c-d", "  two  spaces "]),
)


def cases(found: Interface, values: Known) -> Iterator[tuple[str, Arrays]]:
    """Yield requests, each with what it tries."""
    yield "the sample", found.sample
    for seed in (2, 3):
        yield "other values", rows(found, values, _ROWS, seed)
    for rows_of_batch in _BATCHES:
        yield f"a batch of {rows_of_batch}", rows(found, values, rows_of_batch, 4)
    yield from _at_thresholds(found, values)
    for tensor in found.inputs:
        if tensor.datatype == "BYTES":
            yield from _texts(tensor, found, values)
        elif tensor.datatype.startswith("FP"):
            yield from _numbers(tensor, found, values)
        else:
            request = rows(found, values, 4, 5)
            request[tensor.name] = unknown(request[tensor.name])
            yield f"an unknown value of {tensor.name}", request


def extremes(found: Interface, values: Known) -> Iterator[tuple[str, Arrays]]:
    """Yield requests whose numbers are near the bounds of FP32."""
    floats = [tensor for tensor in found.inputs if tensor.datatype in {"FP32", "FP64"}]
    for words, value in (("1e38", 1e38), ("-1e38", -1e38), ("denormal ones (1e-40)", 1e-40)):
        request = rows(found, values, 4, 14)
        for tensor in floats:
            request[tensor.name][:2] = value
        if floats:
            yield words, request


def unknown(array: Array) -> Array:
    """Return values that are none of usual ones."""
    if array.dtype.kind == "O":
        other = np.empty(array.shape, dtype=object)
        other[...] = UNKNOWN.encode()
        return other
    return ~array if array.dtype.kind == "b" else array + array.dtype.type(97)


def rows(found: Interface, values: Known, count: int, seed: int) -> Arrays:
    """Return a request of some rows of usual values."""
    return {tensor.name: values.of(tensor, {0: count}, seed) for tensor in found.inputs}


def _at_thresholds(found: Interface, values: Known) -> Iterator[tuple[str, Arrays]]:
    """Yield rows whose values are thresholds, and one float32 step below and above."""
    if not any(values.columns(tensor) for tensor in found.inputs if tensor.datatype[:2] == "FP"):
        return
    for step, words in ((0, "at"), (-1, "one step below"), (1, "one step above")):
        request = rows(found, values, 2 * _ROWS, 6)
        random = np.random.default_rng(7)
        for tensor in found.inputs:
            if not tensor.datatype.startswith("FP"):
                continue
            array = request[tensor.name]
            for column, known in values.columns(tensor):
                at = (Ellipsis, column) if column is not None else Ellipsis
                chosen = random.choice(known, array[at].shape)
                array[at] = stepped(chosen, step) if step else chosen
        yield f"values {words} thresholds", request


def stepped(values: Array, step: int) -> Array:
    """Return values moved by one float32 step down (-1) or up (1); those in float64 stay so."""
    single = values.astype(np.float32)
    return np.nextafter(single, np.float32(np.inf if step > 0 else -np.inf)).astype(values.dtype)


def _texts(tensor: Tensor, found: Interface, values: Known) -> Iterator[tuple[str, Arrays]]:
    for words, texts in _TEXTS:
        request = rows(found, values, len(texts), 8)
        flat = request[tensor.name].reshape(-1)
        usual = flat.copy()
        flat[:] = [text.encode("utf-8") for text in texts]
        yield f"{words} in {tensor.name}", request
        known = usual[0].decode("utf-8")
        if words == "text beyond ASCII":
            more = {name: array.copy() for name, array in request.items()}
            more[tensor.name].reshape(-1)[:] = [f"{text} {known}".encode() for text in texts]
            yield f"{words} beside known words in {tensor.name}", more


def _numbers(tensor: Tensor, found: Interface, values: Known) -> Iterator[tuple[str, Arrays]]:
    width = tensor.shape[1] if len(tensor.shape) > 1 and tensor.shape[1] > 1 else 1
    request = rows(found, values, max(2, min(width, _COLUMNS)), 9)
    for row in range(min(width, _COLUMNS)):
        request[tensor.name][row].reshape(-1)[row] = np.nan
    yield f"missing values in {tensor.name}", request
    request = rows(found, values, 2, 10)
    request[tensor.name][:] = np.nan
    yield f"only missing values in {tensor.name}", request
    for value in (np.inf, -np.inf):
        request = rows(found, values, 2, 11)
        request[tensor.name][1].reshape(-1)[0] = value
        yield f"an infinity in {tensor.name}", request
    request = rows(found, values, _ROWS, 12)
    zeros = np.random.default_rng(13).random(request[tensor.name].shape) < 0.8
    request[tensor.name][zeros] = 0.0
    yield f"rows of zeros in {tensor.name}", request
