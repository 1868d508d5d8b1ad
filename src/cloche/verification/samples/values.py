"""The values of a request's tensors, by kind and within what the model accepts."""

from __future__ import annotations

import enum
import hashlib
import math
from typing import TYPE_CHECKING, Any

from cloche.artifacts import DATATYPES
from cloche.verification.samples import pictures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator
    from numpy.typing import NDArray

    from cloche.artifacts import ModelFacts, TensorSpec, ValueRange
    from cloche.verification.asked import Tensors

_WORDS = ("north", "east", "south", "west")
_DIGITS = ("7", "42", "0", "19")
_TIMES = ("2024-01-31T12:00:00", "2024-02-29T00:00:00", "2024-12-31T23:59:59")
_FEW = 9
"""The largest whole number where nothing tells how large it may be: a valid index as a rule."""
_ARGUMENT = 8
"""The most elements of a tensor that may be an argument, such as a shape or a list of axes."""


class Kind(enum.Enum):
    """What the values of a request are like."""

    PICTURE = "something to see in pictures, different ones elsewhere"
    VARIED = "different ones, in the range of each input"
    DIGITS = "the same, with numbers as text"
    TIMES = "the same, with times as text"
    BITS = "0 and 1 where whole numbers have no known range"
    SIZES = "the sizes of an output in small whole inputs"
    LAST_SIZES = "the last sizes of an output in small whole inputs"
    ONE_CHANNEL = "the sizes of an output, as an image of one channel, in small whole inputs"
    AXES = "axes in small whole inputs"
    COUNTS = "0, 1, 2 … in whole inputs"
    ONES = "1 everywhere that its range allows"
    ZEROS = "0 everywhere that its range allows"
    SIGNED = "different ones around 0"
    UNASKED = "different ones, whatever the graph seems to ask for"


_ARGUMENTS = frozenset({Kind.SIZES, Kind.LAST_SIZES, Kind.ONE_CHANNEL, Kind.AXES})


def fill(
    facts: ModelFacts, shapes: Mapping[str, tuple[int, ...]], kind: Kind, generator: Generator
) -> Tensors:
    """Return the tensors of a request."""
    return {
        spec.name: _tensor(spec, shapes[spec.name], kind, generator, facts) for spec in facts.inputs
    }


def digest(tensors: Tensors) -> bytes:
    """Return what differs between different requests."""
    told = hashlib.sha256()
    for name, array in tensors.items():
        data = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        told.update(f"{name} {array.dtype} {array.shape}\0".encode() + data)
    return told.digest()


def _tensor(
    spec: TensorSpec, shape: tuple[int, ...], kind: Kind, generator: Generator, facts: ModelFacts
) -> NDArray[Any]:
    import numpy as np

    if spec.datatype == "BYTES":
        return _text(shape, kind, generator, facts.samples.get(spec.name))
    dtype = np.dtype(DATATYPES[spec.datatype].numpy)
    limit = None if kind is Kind.UNASKED else facts.ranges.get(spec.name)
    if limit is not None and len(limit.values) == math.prod(shape):
        return np.array(limit.values).reshape(shape).astype(dtype)
    if dtype.kind == "b":
        return _switches(shape, kind, generator, limit)
    chosen = _chosen(spec, shape, kind, generator, facts) if limit is None else None
    if chosen is not None:
        return chosen.astype(dtype)
    if dtype.kind == "f" and not (limit and limit.whole):
        return _floats(shape, kind, generator, limit).astype(dtype)
    return _whole(shape, kind, generator, limit, dtype)


def _chosen(
    spec: TensorSpec, shape: tuple[int, ...], kind: Kind, generator: Generator, facts: ModelFacts
) -> NDArray[Any] | None:
    """Return the values that a kind has of its own, None if it has none for this input."""
    if kind is Kind.PICTURE:
        picture = pictures.draw(spec, shape, generator)
        return picture if picture is None or spec.datatype != "UINT8" else picture * 255
    if spec.datatype.startswith(("INT", "UINT")):
        return _argument(shape, kind, facts)
    return None


def _text(
    shape: tuple[int, ...], kind: Kind, generator: Generator, sample: str | None
) -> NDArray[Any]:
    import numpy as np

    if sample is not None:
        return np.full(shape, sample, dtype=object)
    words = {Kind.DIGITS: _DIGITS, Kind.TIMES: _TIMES}.get(kind, _WORDS)
    chosen = generator.integers(0, len(words), size=shape)
    return np.array([words[i] for i in np.ravel(chosen)], dtype=object).reshape(shape)


def _switches(
    shape: tuple[int, ...], kind: Kind, generator: Generator, limit: ValueRange | None
) -> NDArray[Any]:
    import numpy as np

    if limit is not None and limit.low == limit.high:
        return np.full(shape, bool(limit.high))
    if kind is Kind.ZEROS:
        return np.zeros(shape, np.bool_)
    if kind is Kind.ONES or math.prod(shape) == 1:
        return np.ones(shape, np.bool_)
    return generator.integers(0, 2, size=shape).astype(np.bool_)


def _floats(
    shape: tuple[int, ...], kind: Kind, generator: Generator, limit: ValueRange | None
) -> NDArray[Any]:
    import numpy as np

    low, high = (None, None) if limit is None else (limit.low, limit.high)
    if kind in {Kind.ONES, Kind.ZEROS}:
        return np.full(shape, _clip(1.0 if kind is Kind.ONES else 0.0, low, high))
    random = generator.random(shape)
    if kind is Kind.SIGNED and limit is None:
        return np.asarray(2 * random - 1)
    start = low if low is not None else min(0.0, 0.0 if high is None else high - 1)
    end = high if high is not None else start + 1
    return np.asarray(start + (end - start) * random)


def _whole(
    shape: tuple[int, ...],
    kind: Kind,
    generator: Generator,
    limit: ValueRange | None,
    dtype: Any,
) -> NDArray[Any]:
    import numpy as np

    low, high = _whole_bounds(limit, dtype)
    if kind in {Kind.ONES, Kind.ZEROS}:
        return np.full(shape, _clip(1 if kind is Kind.ONES else 0, low, high)).astype(dtype)
    if kind is Kind.COUNTS:
        counted = low + np.arange(math.prod(shape)) % (high - low + 1)
        return np.asarray(counted).reshape(shape).astype(dtype)
    if limit is None and kind in _ARGUMENTS | {Kind.BITS}:
        low, high = 0, 1
    return np.asarray(generator.integers(low, high + 1, size=shape)).astype(dtype)


def _whole_bounds(limit: ValueRange | None, dtype: Any) -> tuple[int, int]:
    """Return the lowest and the highest whole number to choose; bytes vary over all they hold."""
    import numpy as np

    held = np.iinfo(dtype) if dtype.kind in "iu" else np.iinfo(np.int16)
    byte = dtype.itemsize == 1
    lowest = None if limit is None or limit.low is None else math.ceil(limit.low)
    highest = None if limit is None or limit.high is None else math.floor(limit.high)
    low = lowest if lowest is not None else (int(held.min) if byte else 0)
    high = highest if highest is not None else (int(held.max) if byte else max(low, 0) + _FEW)
    low = max(low, int(held.min))
    return low, max(low, min(high, int(held.max)))


def _clip(value: Any, low: float | None, high: float | None) -> Any:
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else value


def _argument(shape: tuple[int, ...], kind: Kind, facts: ModelFacts) -> NDArray[Any] | None:
    """Return what a small tensor holds if it is an argument about the shape of an output."""
    import numpy as np

    count = math.prod(shape)
    if len(shape) > 1 or not 0 < count <= _ARGUMENT:
        return None
    if kind is Kind.AXES:
        return np.arange(count).reshape(shape)
    if kind not in _ARGUMENTS:
        return None
    for spec in facts.outputs:
        sizes = [max(size, 1) for size in spec.shape]
        if len(sizes) >= count:
            chosen = {
                Kind.SIZES: sizes[:count],
                Kind.LAST_SIZES: sizes[-count:],
                Kind.ONE_CHANNEL: [sizes[0], 1, *sizes[1:]][:count],
            }
            return np.array(chosen[kind]).reshape(shape)
    return None
