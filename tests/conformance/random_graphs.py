"""Small random graphs of common operators, with open, labelled and fixed axes.

What to choose comes from a function, so that Hypothesis can shrink a graph and a seed can repeat
one. Shapes are followed while a graph grows, so that most graphs are models that run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    Choose = Callable[[int], int]
    """Returns a number from 0 to below its argument."""
    Dim = int | str
    Shape = tuple[Dim, ...]

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
WHOLE = (TensorProto.INT64, TensorProto.INT32)
_LABELS: tuple[Dim, ...] = ("batch", "seq", "n", 2, 3, 4)
_OPSET = 18


@dataclass
class Value:
    """A value of the graph: its name, element type and shape."""

    name: str
    kind: int
    shape: Shape


@dataclass
class Growing:
    """A graph that grows by one operator at a time."""

    choose: Choose
    inputs: list[Value] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def pick(self, options: Any) -> Any:
        return options[self.choose(len(options))]

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def add(
        self, operator: str, inputs: list[str], kind: int, shape: Shape, **attributes: Any
    ) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.values.append(Value(name, kind, shape))


def graph(choose: Choose) -> onnx.ModelProto:
    """Return a random model."""
    growing = Growing(choose)
    first: list[Dim] = [growing.pick(("batch", "n"))] if choose(3) else []
    for index in range(1 + choose(3)):
        labels = [*first, *(growing.pick(_LABELS) for _ in range(choose(4)))]
        value = Value(f"x{index}", growing.pick((*FLOATS, *WHOLE, *FLOATS)), tuple(labels))
        growing.inputs.append(value)
        growing.values.append(value)
    for _ in range(1 + choose(6)):
        growing.pick(_STEPS)(growing, growing.pick(growing.values))
    return _model(growing)


def _model(growing: Growing) -> onnx.ModelProto:
    made = [value for value in growing.values if value not in growing.inputs]
    if not made:
        growing.add("Identity", ["x0"], growing.inputs[0].kind, growing.inputs[0].shape)
        made = growing.values[-1:]
    outputs = [made[-1], *([made[growing.choose(len(made))]] if growing.choose(2) else [])]
    outputs = list({value.name: value for value in outputs}.values())
    inner = helper.make_graph(
        growing.nodes,
        "random",
        [_declared(value) for value in growing.inputs],
        [_declared(value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in growing.constants.items()],
    )
    return helper.make_model(inner, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)


def _declared(value: Value) -> Any:
    shape = [None if size == "n" else size for size in value.shape]  # an axis without a label
    return helper.make_tensor_value_info(value.name, value.kind, shape)


def _numpy(kind: int) -> Any:
    return helper.tensor_dtype_to_np_dtype(kind)


def _unary(growing: Growing, value: Value) -> None:
    operators = ("Neg", "Abs", "Identity", "Relu", "Sigmoid", "Sqrt", "Exp", "Floor")
    operator = growing.pick(operators if value.kind in FLOATS else operators[:3])
    growing.add(operator, [value.name], value.kind, value.shape)


def _cast(growing: Growing, value: Value) -> None:
    kind = growing.pick((*FLOATS[:2], *WHOLE))
    growing.add("Cast", [value.name], kind, value.shape, to=kind)


def _with_constant(growing: Growing, value: Value) -> None:
    last = value.shape[-1:] if value.shape and isinstance(value.shape[-1], int) else ()
    constant = growing.constant(
        (np.arange(math.prod(last)) + 1).reshape(last).astype(_numpy(value.kind))
    )
    growing.add(
        growing.pick(("Add", "Sub", "Mul", "Div")), [value.name, constant], value.kind, value.shape
    )


def _with_value(growing: Growing, value: Value) -> None:
    fitting = [
        other for other in growing.values if other.kind == value.kind
        and other.shape in {value.shape, value.shape[1:], ()}
    ]  # fmt: skip
    other = growing.pick(fitting)
    growing.add(growing.pick(("Add", "Mul")), [value.name, other.name], value.kind, value.shape)


def _dense(growing: Growing, value: Value) -> None:
    if value.kind not in FLOATS[:2] or len(value.shape) < 2 or isinstance(value.shape[-1], str):
        return
    size = 1 + growing.choose(4)
    weights = np.linspace(-1, 1, value.shape[-1] * size).reshape(value.shape[-1], size)
    constant = growing.constant(weights.astype(_numpy(value.kind)))
    growing.add("MatMul", [value.name, constant], value.kind, (*value.shape[:-1], size))


def _transpose(growing: Growing, value: Value) -> None:
    if len(value.shape) < 2:
        return
    order = list(range(len(value.shape)))
    at = growing.choose(len(order))
    order = [*order[at:], *order[:at]]
    shape = tuple(value.shape[axis] for axis in order)
    growing.add("Transpose", [value.name], value.kind, shape, perm=order)


def _softmax(growing: Growing, value: Value) -> None:
    if value.kind in FLOATS and value.shape:
        axis = growing.choose(len(value.shape)) - growing.choose(2) * len(value.shape)
        growing.add("Softmax", [value.name], value.kind, value.shape, axis=axis)


def _reduce(growing: Growing, value: Value) -> None:
    if not value.shape or value.kind == TensorProto.FLOAT16:
        return
    axis, keep = growing.choose(len(value.shape)), growing.choose(2)
    shape = (*value.shape[:axis], *((1,) if keep else ()), *value.shape[axis + 1 :])
    operator = growing.pick(("ReduceSum", "ReduceMax", "ReduceMin"))
    axes = growing.constant(np.array([axis]))
    growing.add(operator, [value.name, axes], value.kind, shape, keepdims=keep)


def _join(growing: Growing, value: Value) -> None:
    if not value.shape:
        return
    axis = growing.choose(len(value.shape))
    size = value.shape[axis]
    doubled = 2 * size if isinstance(size, int) else "n"
    shape = (*value.shape[:axis], doubled, *value.shape[axis + 1 :])
    growing.add("Concat", [value.name, value.name], value.kind, shape, axis=axis)


def _unsqueeze(growing: Growing, value: Value) -> None:
    axis = growing.choose(len(value.shape) + 1)
    axes = growing.constant(np.array([axis]))
    shape = (*value.shape[:axis], 1, *value.shape[axis:])
    growing.add("Unsqueeze", [value.name, axes], value.kind, shape)


def _look_up(growing: Growing, value: Value) -> None:
    if value.kind not in WHOLE or value not in growing.inputs:
        return
    table = np.linspace(-1, 1, (3 + growing.choose(9)) * 4).reshape(-1, 4).astype("f4")
    name = growing.constant(table)
    growing.add("Gather", [name, value.name], TensorProto.FLOAT, (*value.shape, 4))


def _flatten(growing: Growing, value: Value) -> None:
    if len(value.shape) < 2:
        return
    rest = value.shape[1:]
    whole = math.prod(rest) if all(isinstance(size, int) for size in rest) else "n"  # type: ignore[arg-type]
    target = growing.constant(np.array([0, -1]))
    growing.add("Reshape", [value.name, target], value.kind, (value.shape[0], whole))


def _one_row(growing: Growing, value: Value) -> None:
    target = growing.constant(np.array([1, -1]))
    growing.add("Reshape", [value.name, target], value.kind, (1, "n"))


def _cut(growing: Growing, value: Value) -> None:
    if not value.shape:
        return
    axis = growing.choose(len(value.shape))
    bounds = [growing.constant(np.array([each])) for each in (0, 1, axis)]
    shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
    growing.add("Slice", [value.name, *bounds], value.kind, shape)


def _running_sum(growing: Growing, value: Value) -> None:
    if value.shape and value.kind in {TensorProto.FLOAT, TensorProto.INT64}:
        axis = growing.constant(np.array(growing.choose(len(value.shape))))
        growing.add("CumSum", [value.name, axis], value.kind, value.shape)


def _like_its_shape(growing: Growing, value: Value) -> None:
    """Make zeros of a value's own shape, as exporters do, and add them."""
    if value.kind != TensorProto.FLOAT or not value.shape:
        return
    growing.add("Shape", [value.name], TensorProto.INT64, (len(value.shape),))
    growing.add("ConstantOfShape", [growing.values[-1].name], value.kind, value.shape)
    zeros = growing.values[-1].name
    growing.add("Add", [value.name, zeros], value.kind, value.shape)


def _choose_where(growing: Growing, value: Value) -> None:
    if value.kind not in FLOATS[:2]:
        return
    middle = growing.constant(np.asarray(0.5, _numpy(value.kind)))
    growing.add("Greater", [value.name, middle], TensorProto.BOOL, value.shape)
    chosen = growing.values.pop().name  # no further step takes truth values
    growing.add("Where", [chosen, value.name, middle], value.kind, value.shape)


def _attend(growing: Growing, value: Value) -> None:
    """Compare every step of a sequence with every other, as attention does."""
    if value.kind != TensorProto.FLOAT or len(value.shape) < 2:
        return
    order = [*range(len(value.shape) - 2), len(value.shape) - 1, len(value.shape) - 2]
    turned = tuple(value.shape[axis] for axis in order)
    growing.add("Transpose", [value.name], value.kind, turned, perm=order)
    scores = (*value.shape[:-1], value.shape[-2])
    growing.add("MatMul", [value.name, growing.values[-1].name], value.kind, scores)
    growing.add("Softmax", [growing.values[-1].name], value.kind, scores, axis=-1)
    growing.add("MatMul", [growing.values[-1].name, value.name], value.kind, value.shape)


def _normalise(growing: Growing, value: Value) -> None:
    if value.kind != TensorProto.FLOAT or not value.shape or isinstance(value.shape[-1], str):
        return
    scale = growing.constant(np.ones(value.shape[-1], np.float32))
    growing.add("LayerNormalization", [value.name, scale], value.kind, value.shape, axis=-1)


def _best(growing: Growing, value: Value) -> None:
    if not value.shape or value.kind not in (*FLOATS[:2], *WHOLE):
        return
    axis = growing.choose(len(value.shape))
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    growing.add("ArgMax", [value.name], TensorProto.INT64, shape, axis=axis, keepdims=0)


_STEPS = (
    _unary, _cast, _with_constant, _with_value, _dense, _transpose, _softmax, _reduce, _join,
    _unsqueeze, _look_up, _flatten, _one_row, _cut, _running_sum, _like_its_shape,
    _choose_where, _attend, _normalise, _best,
)  # fmt: skip
