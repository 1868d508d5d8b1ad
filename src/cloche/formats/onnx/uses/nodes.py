"""Reading a node: its attributes, and constants among its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.uses.flow import Flow


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Return the value of an attribute; text is `str`."""
    from onnx import helper

    for each in node.attribute:
        if each.name == name:
            value = helper.get_attribute_value(each)
            return value.decode() if isinstance(value, bytes) else value
    return default


def number(flow: Flow, name: str) -> float | None:
    """Return a constant of one element, None for anything else."""
    constant = flow.constants.get(name)
    return None if constant is None or constant.size != 1 else constant.ravel()[0].item()


def numbers(flow: Flow, name: str) -> list[float] | None:
    """Return the elements of a constant, None for what is none."""
    constant = flow.constants.get(name)
    return None if constant is None else constant.ravel().tolist()


def given(node: NodeProto, position: int) -> str | None:
    """Return the name of the input at a position, None if it is left out."""
    return node.input[position] or None if len(node.input) > position else None
