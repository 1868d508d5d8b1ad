"""PyTorch to ONNX, by PyTorch's own exporters. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_export
import pytorch_interface
import torch
from converting import Converting, Exported
from interface import Interface, Values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pytorch_model import TorchModel

    Arrays = dict[str, NDArray[Any]]


class Conversion(Converting):
    """One module on its way to ONNX."""

    model: TorchModel
    example: Arrays | None

    def __init__(self, model: TorchModel, example: Arrays | None) -> None:
        """Take the model; an array of the example without a name is the input in its place."""
        torch.manual_seed(0)
        if example is not None and len(example) == len(model.parameters):
            known = set(example) <= set(model.parameters)
            example = example if known else dict(zip(model.parameters, example.values()))  # noqa: B905
        if example is None and model.program is not None:
            example = pytorch_interface.example_of(model)
        super().__init__(model, example)

    def framework(self) -> str:
        """Return PyTorch with its release."""
        return f"pytorch {torch.__version__.partition('+')[0]}"

    def tells(self) -> bool:
        """Return whether it is an exported program, which has its shapes."""
        return self.model.program is not None

    def interface(self, told: list[dict[str, Any]] | None) -> Interface:
        """Return what the file, a signature, the example, its class or first layer tells."""
        if told and self.example is not None:
            self.example = _renamed(self.example, self.model.parameters, told)
        return pytorch_interface.discover(self.model, told, self.example, self.values())

    def exports(self, found: Interface) -> Iterator[Exported | str]:
        """Yield the exports by dynamo and by tracing."""
        if self.model.scalars:
            listed = ", ".join(self.model.scalars)
            yield f"a graph keeps one value of an argument that is no tensor ({listed})"
            return
        ways = pytorch_export.ways_of(self.model)
        yield from pytorch_export.exports(self.model, found, ways)

    def values(self) -> Values:
        """Return values with indices that every table of the model has."""
        return Values(self.example, indices=pytorch_interface.rows_of_tables(self.model.module))


def _renamed(example: Arrays, parameters: list[str], told: list[dict[str, Any]]) -> Arrays:
    """Return an example of the parameters under the names of a signature, in their order."""
    names = [each["name"] for each in told]
    if set(example) != set(parameters) or len(names) != len(parameters):
        return example
    return {name: example[own] for name, own in zip(names, parameters)}  # noqa: B905
