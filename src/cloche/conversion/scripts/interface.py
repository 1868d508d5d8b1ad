"""The inputs and outputs of a model, proven by calling it. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from own_model import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]
    Call = Callable[[Arrays], Arrays]

NUMPY = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1",
    "INT16": "i2", "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
    "BYTES": "O",
}  # fmt: skip
"""The numpy type of each datatype of the protocol."""
_BATCHES = (1, 2, 5)
_OTHERS = 2
"""Requests with other values than the sample's."""
_LONGEST = 300
"""Letters of what a model says."""
_TRIED_BATCHES = (2, 1)
_OPEN_SIZES = (16, 32, 64, 128, 224)
"""Sizes that are tried for an axis of which nothing is known."""
_TEXTS = (b"a good film", "\u00c9t\u00e9 na\u00efve, stra\u00dfe".encode(), b"", b"x", b"42")


class Tensor:
    """One input or output: -1 in its shape is an open axis."""

    def __init__(self, name: str, datatype: str, shape: list[int]) -> None:
        """Take its name, its datatype in the protocol's words, and its shape."""
        self.name, self.datatype, self.shape = name, datatype, list(shape)
        self.labels: dict[int, str] = {}
        """The names of open axes; those that always have one size have one name."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}


class Interface:
    """The tensors of a model, and a request that it answers."""

    def __init__(self, inputs: list[Tensor], outputs: list[Tensor], sample: Arrays) -> None:
        """Take inputs, outputs, and the sample's arrays by the name of the input."""
        self.inputs, self.outputs, self.sample = inputs, outputs, sample

    def axes(self) -> dict[str, list[int]]:
        """Return the open axes of each input."""
        return {
            tensor.name: [axis for axis, size in enumerate(tensor.shape) if size < 0]
            for tensor in self.inputs
        }

    def places(self) -> set[int]:
        """Return the places at which any input has an open axis."""
        return {axis for axes in self.axes().values() for axis in axes}


class Values:
    """Values that a model accepts: those of an example, else small ones, the same each time."""

    def __init__(
        self, example: Arrays | None = None, *, indices: int = 2, whole: bool = False
    ) -> None:
        """Take an example; without one, integers are below `indices`, and floats too if `whole`."""
        self._example = example or {}
        self._indices, self._whole = indices, whole

    def of(self, tensor: Tensor, sizes: dict[int, int], seed: int = 0) -> Array:
        """Return an array for an input with these sizes of its open axes."""
        shape = [sizes.get(axis, 1) if size < 0 else size for axis, size in enumerate(tensor.shape)]
        dtype = np.dtype(NUMPY[tensor.datatype])
        random = np.random.default_rng(seed)
        given = self._example.get(tensor.name)
        if given is not None and given.size:
            return random.choice(given.ravel(), shape).astype(dtype)
        if dtype.kind == "O":
            return random.choice(np.array(_TEXTS, object), shape)
        if dtype.kind == "f" and not self._whole:
            return random.standard_normal(shape).astype(dtype)
        high = 2 if dtype.kind == "b" else min(self._indices, 128)
        return random.integers(0, high, shape).astype(dtype)


def datatype_of(array: Array) -> str:
    """Return the protocol's datatype of an array; raises Unusable if it has none."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    for name, dtype in NUMPY.items():
        if array.dtype == np.dtype(dtype):
            return name
    raise Unusable("conversion.answer", f"The model takes or gives {array.dtype} values.")


def answered(
    call: Call,
    names: list[str],
    proposals: list[list[Tensor]],
    example: Arrays | None,
    values: Values,
) -> Interface:
    """Return the interface of the first proposed inputs that the model answers, as `proven`.

    `names` are those of the inputs. Raises Unusable `conversion.inputs` where it answers none.
    """
    refused = None
    for inputs in proposals:
        for sizes in _sizes(inputs, example):
            sample = {tensor.name: values.of(tensor, sizes) for tensor in inputs}
            try:
                answer = call(sample)
            except Unusable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a model raises says that it refuses
                refused = refused or error
                continue
            return proven(call, inputs, sample, answer, values)
    raise _unknown(names, refused)


def _unknown(names: list[str], refused: Exception | None) -> Unusable:
    line = " ".join(str(refused or "").split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
    said = f" It refuses what was tried: {line}" if line else ""
    inputs = ", ".join(names) or "none"
    return Unusable(
        "conversion.inputs",
        f"Nothing tells the shapes of the model's inputs ({inputs}).{said}",
        "Deploy with --example FILE, a request that the model answers; or log it with an"
        " input_example.",
    )


def _sizes(inputs: list[Tensor], example: Arrays | None) -> list[dict[int, int]]:
    """Return sizes to try: of the batch axis and of any other open axis, by its place."""
    places = {axis for tensor in inputs for axis, size in enumerate(tensor.shape) if size < 0}
    others = places - {0}
    if example is not None:
        known = {
            axis: size
            for tensor in inputs
            for axis, size in enumerate(example.get(tensor.name, np.zeros(())).shape)
            if axis in others
        }
        return [{0: batch, **known} for batch in _TRIED_BATCHES]
    if not others:
        return [{0: batch} for batch in _TRIED_BATCHES]
    return [
        {0: batch, **dict.fromkeys(others, size)}
        for size in _OPEN_SIZES
        for batch in _TRIED_BATCHES
    ]


def proven(
    call: Call, inputs: list[Tensor], sample: Arrays, answer: Arrays, values: Values
) -> Interface:
    """Return the interface with the axes open that the model answers in another size too."""
    outputs = [
        Tensor(name, datatype_of(array), list(array.shape)) for name, array in answer.items()
    ]
    interface = Interface(inputs, outputs, sample)
    for place in sorted(interface.places()):
        other = _call_resized(call, interface, values, place)
        if other is None or _ranks(other) != _ranks(answer):
            for tensor in inputs:
                if place < len(tensor.shape) and tensor.shape[place] < 0:
                    tensor.shape[place] = sample[tensor.name].shape[place]
            continue
        for tensor in outputs:
            for axis, size in enumerate(other[tensor.name].shape):
                if size != answer[tensor.name].shape[axis]:
                    tensor.shape[axis] = -1
                    tensor.labels[axis] = label(place)
    for tensor in inputs:
        tensor.labels = {axis: label(axis) for axis, size in enumerate(tensor.shape) if size < 0}
    return interface


def label(place: int) -> str:
    """Return the name of the open axis at a place of the inputs."""
    return f"axis_{place}" if place else "batch"


def _ranks(answer: Arrays) -> dict[str, int]:
    return {name: array.ndim for name, array in answer.items()}


def _call_resized(call: Call, interface: Interface, values: Values, place: int) -> Arrays | None:
    """Return the answer to a request of another size along an axis; None if it is refused."""
    resized = {}
    for tensor in interface.inputs:
        shape = interface.sample[tensor.name].shape
        sizes = {
            axis: size + (_step(size) if axis == place else 0) for axis, size in enumerate(shape)
        }
        resized[tensor.name] = values.of(tensor, sizes, seed=1)
    try:
        return call(resized)
    except Exception:  # noqa: BLE001 - it refuses this size
        return None


def _step(size: int) -> int:
    """Return how much larger another size is; images and signals halve often, so by 32."""
    return 32 if size >= 32 else 1


# ── requests to compare answers ───────────────────────────────────────────────────────────────


def cases(interface: Interface, values: Values) -> Iterator[tuple[str, Arrays]]:
    """Yield requests, each with what it tries: other values, batches, sizes of each open axis."""
    yield "the sample", interface.sample
    for seed in range(2, 2 + _OTHERS):
        yield "other values", _resized(interface, values, {}, seed)
    batched = all(0 in axes for axes in interface.axes().values())
    for seed, rows in enumerate(_BATCHES if batched else (), 2 + _OTHERS):
        yield f"a batch of {rows}", _resized(interface, values, {0: rows}, seed)
    for place in sorted(interface.places() - {0}):
        usual = max(array.shape[place] for array in _with_axis(interface, place))
        for seed, size in enumerate((max(usual, 2), 3 * max(usual, 2)), 9):
            words = f"{size} along axis {place}"
            yield words, _resized(interface, values, {place: size}, seed)


def _with_axis(interface: Interface, place: int) -> list[Array]:
    return [array for array in interface.sample.values() if array.ndim > place]


def _resized(interface: Interface, values: Values, sizes: dict[int, int], seed: int) -> Arrays:
    def of(tensor: Tensor) -> Array:
        shape = dict(enumerate(interface.sample[tensor.name].shape))
        return values.of(tensor, {**shape, **sizes}, seed=seed)

    return {tensor.name: of(tensor) for tensor in interface.inputs}
