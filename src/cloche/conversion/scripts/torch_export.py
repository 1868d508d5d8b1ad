"""Exports a PyTorch model to ONNX, with nothing in it of the machine that did it.

The dynamo exporter takes modules and exported programs; it refuses TorchScript, which the older one
takes (torch.onnx, "torch.export-based ONNX exporter"). Syntax for Python 3.8.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import onnx
import torch
from torch_model import as_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch_interface import Interface
    from torch_model import TorchModel

_OPSET = 18
_OLD_OPSET = 17


class Exported:
    """An ONNX model and what made it."""

    def __init__(self, model: Any, converter: str) -> None:
        """Take a ModelProto and the exporter's name."""
        self.model, self.converter = model, converter


def exports(model: TorchModel, interface: Interface) -> Iterator[Exported | str]:
    """Yield the result of each exporter in turn, or its own words where it fails."""
    scripted = isinstance(model.module, torch.jit.ScriptModule)
    ways = [_by_trace] if scripted else [_by_dynamo, _by_trace]
    if model.program is not None:
        ways = [_by_dynamo]
    for way in ways:
        try:
            exported = way(model, interface)
            _name(exported.model, interface)
            _anonymous(exported.model)
            onnx.checker.check_model(exported.model)
        except Exception as error:  # noqa: BLE001 - an exporter raises whatever comes
            yield f"{type(error).__name__}: {_brief(error)}"
            continue
        yield exported


def _brief(error: Exception) -> str:
    """Return an exporter's words without its advice and its files."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = " ".join(lines[:6])
    return line if len(line) <= 500 else line[:499] + "…"


def _by_dynamo(model: TorchModel, interface: Interface) -> Exported:
    arguments = [as_tensor(array) for array in interface.sample.values()]
    names = [tensor.name for tensor in interface.inputs]
    if model.program is not None:
        made = torch.onnx.export(model.program, dynamo=True, opset_version=_OPSET, verbose=False)
    elif model.by_name(names):
        dynamic = {
            name: dict.fromkeys(axes, torch.export.Dim.AUTO)
            for name, axes in interface.axes().items()
        }
        made = torch.onnx.export(
            model.module,
            (),
            kwargs=dict(zip(names, arguments)),  # noqa: B905
            dynamo=True,
            dynamic_shapes=dynamic,
            opset_version=_OPSET,
            verbose=False,
        )
    else:
        in_order = tuple(
            dict.fromkeys(axes, torch.export.Dim.AUTO) for axes in interface.axes().values()
        )
        made = torch.onnx.export(
            model.module,
            tuple(arguments),
            dynamo=True,
            dynamic_shapes=in_order,
            opset_version=_OPSET,
            verbose=False,
        )
    return Exported(made.model_proto, f"torch.onnx (dynamo) {torch.__version__}")


def _by_trace(model: TorchModel, interface: Interface) -> Exported:
    arguments = tuple(as_tensor(array) for array in interface.sample.values())
    names = [tensor.name for tensor in interface.inputs]
    dynamic = {
        name: {axis: f"{name}_{axis}" for axis in axes} for name, axes in interface.axes().items()
    }
    dynamic.update(
        {
            tensor.name: {
                axis: f"{tensor.name}_{axis}" for axis, size in enumerate(tensor.shape) if size < 0
            }
            for tensor in interface.outputs
        }
    )
    buffer = io.BytesIO()
    more = {} if "dynamo" not in _options() else {"dynamo": False}
    torch.onnx.export(
        model.module,
        arguments,
        buffer,
        input_names=names,
        output_names=[tensor.name for tensor in interface.outputs],
        dynamic_axes=dynamic,
        opset_version=_OLD_OPSET,
        **more,
    )
    made = onnx.load_model_from_string(buffer.getvalue())
    return Exported(made, f"torch.onnx (trace) {torch.__version__}")


def _options() -> Any:
    import inspect

    return inspect.signature(torch.onnx.export).parameters


# ── what clients see ──────────────────────────────────────────────────────────────────────────


def _name(model: Any, interface: Interface) -> None:
    """Give inputs, outputs and axes the names of the interface."""
    graph = model.graph
    weights = {each.name for each in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    pairs = (*zip(inputs, interface.inputs), *zip(graph.output, interface.outputs))  # noqa: B905
    if len(inputs) != len(interface.inputs) or len(graph.output) != len(interface.outputs):
        raise ValueError("it has another number of inputs or outputs")
    wanted = {value.name: tensor.name for value, tensor in pairs if value.name != tensor.name}
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | weights
    for new in wanted.values():
        if new in taken and new not in wanted:
            _rename(graph, {new: new + "_inner"})
    _rename(graph, wanted)
    _name_axes(graph)


def _rename(graph: Any, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for listed in (node.input, node.output):
            renamed = [names.get(name, name) for name in listed]
            del listed[:]
            listed.extend(renamed)
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                _rename(inner, names)


def _graphs(attribute: Any) -> list[Any]:
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _name_axes(graph: Any) -> None:
    """Name each symbol of a shape after the first axis that has it; the first axis is `batch`."""
    symbols: dict[str, str] = {}
    for value in graph.input:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                name = "batch" if axis == 0 else f"{value.name}_{axis}"
                symbols.setdefault(dimension.dim_param, name)
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = symbols.get(dimension.dim_param, dimension.dim_param)


def _anonymous(model: Any) -> None:
    """Remove what an exporter tells of its machine and its time: paths, traces of the stack."""
    del model.metadata_props[:]
    model.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        _forget(function.node)
    _anonymous_graph(model.graph)


def _anonymous_graph(graph: Any) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        if hasattr(value, "metadata_props"):
            del value.metadata_props[:]
    _forget(graph.node)


def _forget(nodes: Any) -> None:
    for node in nodes:
        node.doc_string = ""
        if hasattr(node, "metadata_props"):
            del node.metadata_props[:]
        for attribute in node.attribute:
            attribute.doc_string = ""
            for inner in _graphs(attribute):
                _anonymous_graph(inner)
