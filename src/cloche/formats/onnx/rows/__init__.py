"""Whether the rows of a batch stay apart on their way through a graph.

The axis of the rows is followed from the inputs to the outputs. An operator that reduces, sorts,
cuts or joins along it mixes the requests of different callers. Where an operator is not known here,
or a shape is not, nothing is claimed: the answer is then None, as it is for rows that stay apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.onnx import graph as walk
from cloche.formats.onnx.rows import along, moves, pointwise, products
from cloche.formats.onnx.rows.state import Kind, MixedError, Rows
from cloche.formats.onnx.uses import arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto, NodeProto

    from cloche.formats.onnx.rows.state import State

    Rule = Callable[[NodeProto, Rows], State]

_RULES: dict[str, Rule] = {**pointwise.RULES, **moves.RULES, **along.RULES, **products.RULES}


def why_mixed(
    model: ModelProto, inputs: tuple[str, ...], shapes: dict[str, tuple[int, ...]], size: int
) -> str | None:
    """Return which node mixes rows and how, None if none is known to.

    `model` is stripped and without functions, `shapes` are inferred for `size` rows in each input.
    """
    graph = model.graph
    opset = next((one.version for one in model.opset_import if not one.domain), 1)
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    rows = Rows(size, {**known, **shapes}, walk.constants(graph), opset)
    rows.states.update(dict.fromkeys(known, Kind.FIXED))
    rows.states.update(dict.fromkeys(inputs, 0))
    for node in graph.node:
        try:
            states = _outputs(node, rows)
        except MixedError as error:
            name = f" {node.name}" if node.name else ""
            return f"the node {node.op_type}{name} {error}"
        rows.states.update(zip(node.output, states, strict=True))
    for value in graph.output:
        state = rows.state(value.name)
        if state in {Kind.FIXED, Kind.FOLDED} or (isinstance(state, int) and state > 0):
            return f"the output {value.name} has its rows along no first axis"
    return None


def _outputs(node: NodeProto, rows: Rows) -> list[State]:
    """Return the states of a node's outputs; raises MixedError."""
    given = [rows.state(name) for name in node.input]
    for position, state in enumerate(given):
        if isinstance(state, int) and arguments.takes(node.op_type, position):
            raise MixedError(f"takes {node.input[position]}, which has rows, for all rows alike")
    state = _state(node, given, rows)
    if node.op_type in products.RECURRENT and isinstance(state, int):
        return products.recurrent_outputs(node, state)
    return [state] * len(node.output)


def _state(node: NodeProto, given: list[State], rows: Rows) -> State:
    kinds = {state for state in given if isinstance(state, Kind)}
    followed = Kind.FOLDED in kinds or any(isinstance(state, int) for state in given)
    if node.op_type == "Shape":
        return Kind.SIZES if isinstance(given[0], int) else given[0]
    if kinds <= {Kind.FIXED} and not followed:
        return Kind.FIXED
    rule = _RULES.get(node.op_type)
    if not followed and Kind.OPEN not in kinds:
        return moves.made(node, rows)
    if rule is None or Kind.OPEN in kinds or any(each.HasField("g") for each in node.attribute):
        return Kind.OPEN
    return moves.folded(node, rows) if Kind.FOLDED in kinds else rule(node, rows)
