"""The names in a converted model: those that clients see, and none of the machine that made it.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interface import label

if TYPE_CHECKING:
    from interface import Interface


def rename(model: Any, interface: Interface) -> None:
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
    _name_axes(graph, interface)


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


def _name_axes(graph: Any, interface: Interface) -> None:
    """Name each symbol of a shape as the interface names the first axis that has it."""
    symbols: dict[str, str] = {}
    inputs = {tensor.name: tensor for tensor in interface.inputs}
    for value in graph.input:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            symbol = dimension.dim_param
            if symbol and symbol not in symbols:
                name = inputs[value.name].symbol(axis) if value.name in inputs else label(axis)
                # Another symbol at the same place is another size.
                taken = name in symbols.values()
                symbols[symbol] = f"{value.name}_{axis}" if taken else name
    _rename_axes(graph, symbols)


def join_axes(graph: Any, interface: Interface) -> None:
    """Name the axes of inputs as the interface does, where those at one place have one size."""
    symbols = {
        value.type.tensor_type.shape.dim[axis].dim_param: name
        for value, tensor in zip(graph.input, interface.inputs)  # noqa: B905
        for axis, name in tensor.labels.items()
    }
    _rename_axes(graph, symbols)


def _rename_axes(graph: Any, symbols: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = symbols.get(dimension.dim_param, dimension.dim_param)


def anonymise(model: Any) -> None:
    """Remove what an exporter tells of its machine and its time: paths, traces of the stack."""
    del model.metadata_props[:]
    model.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        _forget(function.node)
    _anonymise_graph(model.graph)


def _anonymise_graph(graph: Any) -> None:
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
                _anonymise_graph(inner)
