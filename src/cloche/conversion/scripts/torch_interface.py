"""The inputs and outputs of a PyTorch model, from what is known of it, proven by calling it.

What an input takes comes from the file itself (an exported program), from what the job tells (a
signature, an example), from a class that is known, or from the first layer. An axis is open if
the model answers two sizes of it. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import known_models  # type: ignore[import-not-found]
import numpy as np
import torch
from torch_model import Unusable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch_model import TorchModel

    Array = NDArray[Any]
    Arrays = dict[str, Array]

DTYPES = {
    torch.bool: "BOOL", torch.uint8: "UINT8", torch.int8: "INT8", torch.int16: "INT16",
    torch.int32: "INT32", torch.int64: "INT64", torch.float16: "FP16", torch.float32: "FP32",
    torch.float64: "FP64",
}  # fmt: skip
NUMPY = {
    "BOOL": "?", "UINT8": "u1", "INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8",
    "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip
_BATCHES = (2, 1)
_OPEN_SIZES = (16, 32, 64, 128, 224)
"""Sizes that are tried for an axis of which nothing is known."""


class Tensor:
    """One input or output: -1 in its shape is an open axis."""

    def __init__(self, name: str, datatype: str, shape: list[int]) -> None:
        """Take its name, its datatype in the protocol's words, and its shape."""
        self.name, self.datatype, self.shape = name, datatype, list(shape)

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


def discover(
    model: TorchModel, told: list[dict[str, Any]] | None, example: Arrays | None
) -> Interface:
    """Return the interface of a model; raises Unusable `inputs` where it cannot be known.

    `told` are inputs as a signature has them, `example` a request of the user.
    """
    proposals = _proposals(model, told, example)
    values = Values(model, example)
    refused = None
    for inputs in proposals:
        for sizes in _sizes(inputs, example):
            sample = {tensor.name: values.of(tensor, sizes) for tensor in inputs}
            try:
                answer = model.call(sample)
            except Unusable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a model raises says that it refuses
                refused = refused or error
                continue
            return _proven(model, inputs, sample, answer, values)
    raise _unknown(model, refused)


def _unknown(model: TorchModel, refused: Exception | None) -> Unusable:
    inputs = ", ".join(model.parameters) or "none"
    said = f" It refuses what was tried: {_brief(refused)}" if refused else ""
    return Unusable(
        "conversion.inputs",
        f"Nothing tells the shapes of the model's inputs ({inputs}).{said}",
        "Deploy with --example FILE, a request that the model answers; or log it with an"
        " input_example.",
    )


def _brief(error: Exception) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= 300 else line[:299] + "…"


# ── what the inputs may be ────────────────────────────────────────────────────────────────────


def _proposals(
    model: TorchModel, told: list[dict[str, Any]] | None, example: Arrays | None
) -> list[list[Tensor]]:
    if model.program is not None:
        return [_of_program(model, told)]
    if told:
        return [[Tensor(each["name"], each["datatype"], each["shape"]) for each in told]]
    if example is not None:
        return [[_of_array(name, array) for name, array in example.items()]]
    names = model.parameters
    return [
        [Tensor(name, datatype, shape) for name, (datatype, shape) in zip(names, shapes)]  # noqa: B905
        for shapes in known_models.shapes(model.module, len(names))
    ]


def _of_array(name: str, array: Array) -> Tensor:
    for datatype, dtype in NUMPY.items():
        if array.dtype == np.dtype(dtype):
            return Tensor(name, datatype, [-1, *array.shape[1:]])
    raise Unusable("conversion.inputs", f"PyTorch has no tensors of the type {array.dtype}.")


def _of_program(model: TorchModel, told: list[dict[str, Any]] | None) -> list[Tensor]:
    """Return the inputs that an exported program fixes, under the names of a signature."""
    wanted = set(model.program.graph_signature.user_inputs)
    placeholders = [
        node
        for node in model.program.graph.nodes
        if node.op == "placeholder" and node.name in wanted
    ]
    found = []
    for index, node in enumerate(placeholders):
        value = node.meta["val"]
        name = told[index]["name"] if told and len(told) == len(placeholders) else node.name
        shape = [size if isinstance(size, int) else -1 for size in value.shape]
        found.append(Tensor(name, DTYPES[value.dtype], shape))
    return found


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
        return [{0: batch, **known} for batch in _BATCHES]
    if not others:
        return [{0: batch} for batch in _BATCHES]
    return [{0: batch, **dict.fromkeys(others, size)} for size in _OPEN_SIZES for batch in _BATCHES]


class Values:
    """Values that a model accepts: those of an example, else small ones, the same each time."""

    def __init__(self, model: TorchModel, example: Arrays | None) -> None:
        """Read what bounds indices: the example's values, or the smallest table of the model."""
        self._example = example or {}
        tables = (
            [
                layer.num_embeddings
                for layer in model.module.modules()
                if isinstance(layer, torch.nn.Embedding)
            ]
            if isinstance(model.module, torch.nn.Module)
            else []
        )
        self._indices = min(tables) if tables else 2

    def of(self, tensor: Tensor, sizes: dict[int, int], seed: int = 0) -> Array:
        """Return an array for an input with these sizes of its open axes."""
        shape = [sizes.get(axis, 1) if size < 0 else size for axis, size in enumerate(tensor.shape)]
        dtype = np.dtype(NUMPY[tensor.datatype])
        random = np.random.default_rng(seed)
        given = self._example.get(tensor.name)
        if given is not None and given.size:
            return random.choice(given.ravel(), shape).astype(dtype)
        if dtype.kind == "f":
            return random.standard_normal(shape).astype(dtype)
        high = 2 if dtype.kind == "b" else min(self._indices, 128)
        return random.integers(0, high, shape).astype(dtype)


# ── what the model shows ──────────────────────────────────────────────────────────────────────


def _proven(
    model: TorchModel, inputs: list[Tensor], sample: Arrays, answer: Arrays, values: Values
) -> Interface:
    """Return the interface with the axes open that the model answers in another size too."""
    outputs = [Tensor(name, _datatype(array), list(array.shape)) for name, array in answer.items()]
    places = {axis for tensor in inputs for axis, size in enumerate(tensor.shape) if size < 0}
    for place in sorted(places):
        other = _call_resized(model, inputs, sample, values, place)
        if other is None or _ranks(other) != _ranks(answer):
            for tensor in inputs:
                if place < len(tensor.shape) and tensor.shape[place] < 0:
                    tensor.shape[place] = sample[tensor.name].shape[place]
            continue
        for tensor in outputs:
            for axis, size in enumerate(other[tensor.name].shape):
                if size != answer[tensor.name].shape[axis]:
                    tensor.shape[axis] = -1
    return Interface(inputs, outputs, sample)


def _ranks(answer: Arrays) -> dict[str, int]:
    return {name: array.ndim for name, array in answer.items()}


def _call_resized(
    model: TorchModel, inputs: list[Tensor], sample: Arrays, values: Values, place: int
) -> Arrays | None:
    """Return the answer to a request of another size along an axis; None if it is refused."""
    resized = {}
    for tensor in inputs:
        shape = sample[tensor.name].shape
        sizes = {
            axis: size + (_step(size) if axis == place else 0) for axis, size in enumerate(shape)
        }
        resized[tensor.name] = values.of(tensor, sizes, seed=1)
    try:
        answer: Arrays = model.call(resized)
    except Exception:  # noqa: BLE001 - it refuses this size
        return None
    return answer


def _step(size: int) -> int:
    """Return how much larger another size is; images and signals halve often, so by 32."""
    return 32 if size >= 32 else 1


def _datatype(array: Array) -> str:
    for name, dtype in NUMPY.items():
        if array.dtype == np.dtype(dtype):
            return name
    raise Unusable("conversion.answer", f"The model answers with {array.dtype} values.")
