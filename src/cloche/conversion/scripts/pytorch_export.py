"""Exports a PyTorch model to ONNX.

The dynamo exporter takes modules and exported programs; it refuses TorchScript, which the older one
takes (torch.onnx, "torch.export-based ONNX exporter"). Syntax for Python 3.8.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import onnx
import onnx_naming
import torch
from converting import Exported
from pytorch_model import as_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from interface import Interface
    from pytorch_model import TorchModel

    Way = Callable[[TorchModel, Interface], Exported]

_OPSET = 18
_OLD_OPSET = 17
_LONGEST = 300
_ADVICE = ("Please feel free", " [Caused by", "Suggested fixes", "The error above", "If you would")
"""Where an exporter stops to say what is wrong."""


def ways_of(model: TorchModel) -> list[Way]:
    """Return the exporters that may take a model, the better one first."""
    if model.program is not None:
        return [by_dynamo]
    scripted = isinstance(model.module, torch.jit.ScriptModule)
    return [by_trace] if scripted else [by_dynamo, by_trace]


def exports(model: TorchModel, interface: Interface, ways: list[Way]) -> Iterator[Exported | str]:
    """Yield the result of each exporter in turn, or its own words where it fails."""
    for way in ways:
        try:
            exported = way(model, interface)
            onnx_naming.rename(exported.model, interface)
            onnx_naming.anonymise(exported.model)
            onnx.checker.check_model(exported.model)
        except Exception as error:  # noqa: BLE001 - an exporter raises whatever comes
            yield f"{type(error).__name__}: {_brief(error)}"
            continue
        yield exported


def _brief(error: Exception) -> str:
    """Return an exporter's words without its advice, its colours and the paths of its files."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    for advice in _ADVICE:
        text = text.partition(advice)[0]
    text = re.sub(r"(/[\w.-]+)+/", "", " ".join(text.split()))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def dynamic_axes(interface: Interface) -> dict[str, dict[int, Any]]:
    """Return the open axes of each input; which of them are equal the exporter finds out."""
    return {
        name: dict.fromkeys(axes, torch.export.Dim.AUTO) for name, axes in interface.axes().items()
    }


def by_dynamo(model: TorchModel, interface: Interface) -> Exported:
    """Export through torch.export."""
    arguments = [as_tensor(array) for array in interface.sample.values()]
    names = [tensor.name for tensor in interface.inputs]
    if model.program is not None:
        made = torch.onnx.export(model.program, dynamo=True, opset_version=_OPSET, verbose=False)
    elif model.by_name(names):
        made = torch.onnx.export(
            model.module,
            (),
            kwargs=dict(zip(names, arguments)),  # noqa: B905
            dynamo=True,
            dynamic_shapes=dynamic_axes(interface),
            opset_version=_OPSET,
            verbose=False,
        )
    else:
        made = torch.onnx.export(
            model.module,
            tuple(arguments),
            dynamo=True,
            dynamic_shapes=tuple(dynamic_axes(interface).values()),
            opset_version=_OPSET,
            verbose=False,
        )
    return Exported(made.model_proto, f"torch.onnx (dynamo) {torch.__version__}")


def by_trace(model: TorchModel, interface: Interface) -> Exported:
    """Export by running the model once."""
    arguments = tuple(as_tensor(array) for array in interface.sample.values())
    names = [tensor.name for tensor in interface.inputs]
    tensors = (*interface.inputs, *interface.outputs)
    buffer = io.BytesIO()
    more = {} if "dynamo" not in _options() else {"dynamo": False}
    torch.onnx.export(
        model.module,
        arguments,
        buffer,
        input_names=names,
        output_names=[tensor.name for tensor in interface.outputs],
        dynamic_axes={tensor.name: tensor.labels for tensor in tensors},
        opset_version=_OLD_OPSET,
        **more,
    )
    made = onnx.load_model_from_string(buffer.getvalue())
    return Exported(made, f"torch.onnx (trace) {torch.__version__}")


def _options() -> Any:
    import inspect

    return inspect.signature(torch.onnx.export).parameters
