"""The inputs and outputs of a model, proven by calling it. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asking
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
_LONGEST = 300
"""Letters of what a model says."""
_TRIED_BATCHES = (2, 1)
_OPEN_SIZES = (16, 32, 64, 128, 224)
"""Sizes that are tried for an axis of which nothing is known."""
_TEXTS = (b"a good film", "\u00c9t\u00e9 na\u00efve, stra\u00dfe".encode(), b"", b"x", b"42")


class Tensor:
    """One input or output: -1 in its shape is an open axis."""

    def __init__(
        self, name: str, datatype: str, shape: list[int], symbols: dict[int, str] | None = None
    ) -> None:
        """Take its name, its datatype in the protocol's words, its shape, and names of axes.

        Open axes that are called alike have one size; without a name, those at one place have.
        """
        self.name, self.datatype, self.shape = name, datatype, list(shape)
        self.symbols = symbols or {}
        self.labels: dict[int, str] = {}
        """The names of open axes; those that always have one size have one name."""

    def copy(self) -> Tensor:
        """Return the same tensor, whose shape may be changed."""
        return Tensor(self.name, self.datatype, self.shape, self.symbols)

    def symbol(self, axis: int) -> str:
        """Return the name of an axis, or that of its place."""
        return self.symbols.get(axis, label(axis))

    def open(self) -> dict[int, str]:
        """Return the open axes with their names."""
        return {axis: self.symbol(axis) for axis, size in enumerate(self.shape) if size < 0}

    def described(self) -> dict[str, Any]:
        """Return it as JSON; axes have labels where they were given names."""
        labels = (
            [self.symbols.get(axis) if size < 0 else None for axis, size in enumerate(self.shape)]
            if self.symbols
            else []
        )
        return {
            "name": self.name, "datatype": self.datatype, "shape": self.shape, "labels": labels,
        }  # fmt: skip


def text_of(tensors: list[Tensor]) -> str:
    """Return `x FP32 [batch, 3, ?]`."""
    return ", ".join(
        "{} {} [{}]".format(
            tensor.name,
            tensor.datatype,
            ", ".join(
                str(size) if size >= 0 else tensor.symbols.get(axis, "?")
                for axis, size in enumerate(tensor.shape)
            ),
        )
        for tensor in tensors
    )


def told_tensors(inputs: list[dict[str, Any]]) -> list[Tensor]:
    """Return the inputs that a job tells."""
    return [
        Tensor(
            each["name"],
            each["datatype"],
            each["shape"],
            {axis: name for axis, name in enumerate(each["labels"]) if name},
        )
        for each in inputs
    ]


class Interface:
    """The tensors of a model, and a request that it answers."""

    def __init__(self, inputs: list[Tensor], outputs: list[Tensor], sample: Arrays) -> None:
        """Take inputs, outputs, and the sample's arrays by the name of the input."""
        self.inputs, self.outputs, self.sample = inputs, outputs, sample

    def axes(self) -> dict[str, list[int]]:
        """Return the open axes of each input."""
        return {tensor.name: list(tensor.open()) for tensor in self.inputs}

    def places(self) -> set[int]:
        """Return the places at which any input has an open axis."""
        return {axis for axes in self.axes().values() for axis in axes}

    def symbols(self) -> list[str]:
        """Return the names of open axes, those of the first axes first."""
        pairs = {(axis, name) for tensor in self.inputs for axis, name in tensor.open().items()}
        return list(dict.fromkeys(name for _, name in sorted(pairs)))


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

    `names` are those of the inputs. A model that takes one number of rows alone has that of the
    last request that it answers. Raises Unusable `conversion.inputs` where it answers none.
    """
    refused = None
    for inputs in proposals:
        found = None
        for sample in _samples(inputs, example, values):
            try:
                answer = call(sample)
            except Unusable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a model raises says that it refuses
                refused = refused or error
                continue
            found = proven(call, [tensor.copy() for tensor in inputs], sample, answer, values)
            if _takes_any_rows(found, inputs):
                return found
        if found is not None:
            return found
    raise _unknown(names, proposals, refused)


def _takes_any_rows(found: Interface, proposed: list[Tensor]) -> bool:
    """Return whether the first axes that were open in a proposal are so in what was proven."""
    return all(
        0 in tensor.open() or 0 not in before.open()
        for tensor, before in zip(found.inputs, proposed)  # noqa: B905 - Python 3.8
    )


def _samples(inputs: list[Tensor], example: Arrays | None, values: Values) -> Iterator[Arrays]:
    """Yield requests of several sizes, and the example as it is: its values may belong together."""
    for sizes in _sizes(inputs, example):
        yield {tensor.name: values.of(tensor, sizes_at(tensor, sizes)) for tensor in inputs}
    if example is not None and all(tensor.name in example for tensor in inputs):
        yield {
            tensor.name: example[tensor.name].astype(NUMPY[tensor.datatype]) for tensor in inputs
        }


def sizes_at(tensor: Tensor, sizes: dict[str, int]) -> dict[int, int]:
    """Return the sizes of a tensor's open axes, by their place."""
    return {axis: sizes[name] for axis, name in tensor.open().items() if name in sizes}


def _unknown(
    names: list[str], proposals: list[list[Tensor]], refused: Exception | None
) -> Unusable:
    line = " ".join(str(refused or "").split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
    if len(proposals) == 1:
        what = f"The model refuses inputs of the shapes {text_of(proposals[0])}: {line}"
    else:
        said = f" It refuses what was tried: {line}" if line else ""
        inputs = ", ".join(names) or "none"
        what = f"Nothing tells the shapes of the model's inputs ({inputs}).{said}"
    kinds = [tensor.datatype for tensor in proposals[0]] if len(proposals) == 1 else []
    return Unusable("conversion.inputs", what, asking.ask(names, kinds))


def _sizes(inputs: list[Tensor], example: Arrays | None) -> list[dict[str, int]]:
    """Return sizes to try: of the batch axis and of any other open axis, by its name."""
    opened = [(tensor, axis, name) for tensor in inputs for axis, name in tensor.open().items()]
    first = {name for _, axis, name in opened if axis == 0}
    others = {name for _, _, name in opened} - first
    if example is not None:
        known = {
            name: example[tensor.name].shape[axis]
            for tensor, axis, name in opened
            if name in others and axis < example.get(tensor.name, np.zeros(())).ndim
        }
        return [{**dict.fromkeys(first, batch), **known} for batch in _TRIED_BATCHES]
    return [
        {**dict.fromkeys(first, batch), **dict.fromkeys(others, size)}
        for size in (_OPEN_SIZES if others else _OPEN_SIZES[:1])
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
    for symbol in interface.symbols():
        other = _call_resized(call, interface, values, symbol)
        if other is None or _ranks(other) != _ranks(answer):
            for tensor in inputs:
                for axis in [axis for axis, name in tensor.open().items() if name == symbol]:
                    tensor.shape[axis] = sample[tensor.name].shape[axis]
            continue
        for tensor in outputs:
            for axis, size in enumerate(other[tensor.name].shape):
                if size != answer[tensor.name].shape[axis]:
                    tensor.shape[axis] = -1
                    tensor.labels[axis] = symbol
    for tensor in inputs:
        tensor.labels = tensor.open()
    return interface


def label(place: int) -> str:
    """Return the name of the open axis at a place of the inputs."""
    return f"axis_{place}" if place else "batch"


def _ranks(answer: Arrays) -> dict[str, int]:
    return {name: array.ndim for name, array in answer.items()}


def _call_resized(call: Call, interface: Interface, values: Values, symbol: str) -> Arrays | None:
    """Return the answer to a request of another size along an axis; None if it is refused."""
    resized = {}
    for tensor in interface.inputs:
        shape = interface.sample[tensor.name].shape
        sizes = {
            axis: shape[axis] + (_step(shape[axis]) if name == symbol else 0)
            for axis, name in tensor.open().items()
        }
        resized[tensor.name] = values.of(tensor, sizes, seed=1)
    try:
        return call(resized)
    except Exception:  # noqa: BLE001 - it refuses this size
        return None


def _step(size: int) -> int:
    """Return how much larger another size is; images and signals halve often, so by 32."""
    return 32 if size >= 32 else 1
