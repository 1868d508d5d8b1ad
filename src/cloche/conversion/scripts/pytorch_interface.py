"""What the inputs of a PyTorch model may be, and which of that it answers.

They come from the file itself (an exported program), from what the job tells (a signature, an
example), from a class that is known, or from the first layer. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_known
import torch
from interface import Interface, Tensor, Values, datatype_of, proven
from own_model import Unusable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pytorch_model import TorchModel

    Arrays = dict[str, NDArray[Any]]

DTYPES = {
    torch.bool: "BOOL", torch.uint8: "UINT8", torch.int8: "INT8", torch.int16: "INT16",
    torch.int32: "INT32", torch.int64: "INT64", torch.float16: "FP16", torch.float32: "FP32",
    torch.float64: "FP64",
}  # fmt: skip
_BATCHES = (2, 1)
_OPEN_SIZES = (16, 32, 64, 128, 224)
"""Sizes that are tried for an axis of which nothing is known."""


def discover(
    model: TorchModel, told: list[dict[str, Any]] | None, example: Arrays | None, values: Values
) -> Interface:
    """Return the interface of a model; raises Unusable `inputs` where it cannot be known.

    `told` are inputs as a signature has them, `example` a request of the user.
    """
    proposals = _proposals(model, told, example)
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
            return proven(model.call, inputs, sample, answer, values)
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
        return [
            [Tensor(n, datatype_of(array), [-1, *array.shape[1:]]) for n, array in example.items()]
        ]
    names = model.parameters
    return [
        [Tensor(name, datatype, shape) for name, (datatype, shape) in zip(names, shapes)]  # noqa: B905
        for shapes in pytorch_known.shapes(model.module, len(names))
    ]


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


def rows_of_tables(module: Any) -> int:
    """Return the rows of the smallest table that indices go into; 2 without one."""
    if not isinstance(module, torch.nn.Module):
        return 2
    tables = [
        len(layer.weight)
        for layer in module.modules()
        if pytorch_known.kind_of(layer) == "Embedding"
    ]
    return min(tables, default=2)
