"""What the inputs of a PyTorch model may be, and which of that it answers.

They come from the file itself (an exported program), from what the job tells (a signature, an
example), from a class that is known, or from the first layer. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_known
import torch
from interface import Interface, Tensor, Values, answered, datatype_of, told_tensors
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


def discover(
    model: TorchModel, told: list[dict[str, Any]] | None, example: Arrays | None, values: Values
) -> Interface:
    """Return the interface of a model; raises Unusable `inputs` where it cannot be known.

    `told` are inputs as a signature or the user has them, `example` a request of the user.
    """
    proposals = [_with_scalars(model, tensors) for tensors in _proposals(model, told, example)]
    return answered(model.call, _tensors(model), proposals, example, values)


_OF_SCALARS = {int: "INT64", float: "FP64", bool: "BOOL", str: "BYTES"}


def _tensors(model: TorchModel) -> list[str]:
    """Return the names of the inputs that are tensors."""
    return [name for name in model.parameters if name not in model.scalars]


def _with_scalars(model: TorchModel, tensors: list[Tensor]) -> list[Tensor]:
    """Return inputs with the arguments that are no tensors, each as one value, in their order."""
    if not model.scalars:
        return tensors
    known = {tensor.name: tensor for tensor in tensors}
    for name in model.parameters:
        if name in model.scalars:
            known[name] = Tensor(name, _OF_SCALARS[model.scalars[name]], [])
    return _in_order(list(known.values()), model.parameters)


# ── what the inputs may be ────────────────────────────────────────────────────────────────────


def _proposals(
    model: TorchModel, told: list[dict[str, Any]] | None, example: Arrays | None
) -> list[list[Tensor]]:
    if model.program is not None:
        return [_of_program(model, told)]
    if told:
        return [_in_order(told_tensors(told), model.parameters)]
    if example is not None:
        return [
            [Tensor(n, datatype_of(array), [-1, *array.shape[1:]]) for n, array in example.items()]
        ]
    names = _tensors(model)
    return [
        [Tensor(name, datatype, shape) for name, (datatype, shape) in zip(names, shapes)]  # noqa: B905
        for shapes in pytorch_known.shapes(model.module, len(names))
    ]


def _in_order(inputs: list[Tensor], parameters: list[str]) -> list[Tensor]:
    """Return inputs in the order of the parameters that have their names, if all have."""
    if not {tensor.name for tensor in inputs} <= set(parameters):
        return inputs
    return sorted(inputs, key=lambda tensor: parameters.index(tensor.name))


def _of_program(model: TorchModel, told: list[dict[str, Any]] | None) -> list[Tensor]:
    """Return the inputs that an exported program fixes, under the names of a signature."""
    wanted = set(model.parameters)
    placeholders = [
        node
        for node in model.program.graph.nodes
        if node.op == "placeholder" and node.name in wanted
    ]
    found = []
    for index, node in enumerate(placeholders):
        value = node.meta["val"]
        if not torch.is_tensor(value):
            raise Unusable(
                "conversion.arguments",
                f"The program's input {node.name} is a number of any size, which no request gives.",
                "Export it with that number fixed, or with a tensor in its place.",
            )
        if value.dtype not in DTYPES:
            raise Unusable(
                "conversion.inputs",
                f"The program's input {node.name} is {value.dtype}, which clients do not have.",
                "Export it with another type: model.float(), and an example of FP32.",
            )
        name = told[index]["name"] if told and len(told) == len(placeholders) else node.name
        shape = [size if isinstance(size, int) else -1 for size in value.shape]
        found.append(Tensor(name, DTYPES[value.dtype], shape))
    return found


def example_of(model: TorchModel) -> Arrays | None:
    """Return the request that a program was exported with; None if the file does not have it."""
    from torch.utils import _pytree

    given = getattr(model.program, "example_inputs", None)
    if given is None:
        return None
    tensors = [each for each in _pytree.tree_leaves(given) if torch.is_tensor(each)]
    if len(tensors) != len(model.parameters) or any(each.dtype not in DTYPES for each in tensors):
        return None
    return {
        name: tensor.detach().cpu().numpy()
        for name, tensor in zip(model.parameters, tensors)  # noqa: B905
    }


def rows_of_tables(module: Any) -> int:
    """Return the rows of the smallest table that indices go into; 2 without one."""
    if not isinstance(module, torch.nn.Module):
        return 2
    tables = [
        len(layer.weight)
        for layer in module.modules()
        if pytorch_known.kind_of(layer) in pytorch_known.TABLES
    ]
    return min(tables, default=2)
