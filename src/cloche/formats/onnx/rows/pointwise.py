"""Operators that work on each element, or on each row, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.formats.onnx.rows.state import Kind, MixedError, first

if TYPE_CHECKING:
    from onnx import NodeProto

    from cloche.formats.onnx.rows.state import Rows, State

_ONE = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu",
    "Clip", "Cos", "Cosh", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
    "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not",
    "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "QuantizeLinear",
    "DequantizeLinear", "RegexFullMatch", "BitCast",
)  # fmt: skip
_SEVERAL = (
    "Add", "Sub", "Mul", "Div", "Pow", "Mod", "And", "Or", "Xor", "Equal", "Greater", "Less",
    "GreaterOrEqual", "LessOrEqual", "Where", "Max", "Min", "Sum", "Mean", "PRelu", "BitShift",
    "BitwiseAnd", "BitwiseOr", "BitwiseXor", "StringConcat",
)  # fmt: skip
_TABULAR = (
    "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "LinearClassifier",
    "LinearRegressor", "SVMClassifier", "SVMRegressor", "Scaler", "Normalizer", "Imputer",
    "LabelEncoder", "OneHotEncoder", "Binarizer",
)  # fmt: skip
"""Operators of ai.onnx.ml: one row of a table at a time."""


def alone(node: NodeProto, rows: Rows) -> State:
    """Follow an operator whose further inputs are about the operator, not about rows."""
    state = first(node, rows)
    for name in node.input[1:]:
        if isinstance(rows.state(name), int):
            raise MixedError(f"takes {name}, which has rows, for all rows alike")
    return state


def _like(node: NodeProto, rows: Rows) -> State:
    """Follow CastLike, which takes no more than the type of its second input."""
    return first(node, rows)


def together(node: NodeProto, rows: Rows) -> State:
    """Follow an operator that broadcasts: axes are aligned from the last one."""
    backs, ranks = {}, []
    for name in node.input:
        rank = rows.rank(name)
        if rank is None:
            return Kind.OPEN
        ranks.append(rank)
        state = rows.state(name)
        if isinstance(state, int):
            backs[name] = rank - state
    if Kind.SIZES in {rows.state(name) for name in node.input}:
        return Kind.OPEN
    if len(set(backs.values())) > 1:
        raise MixedError("puts the rows of its inputs along different axes")
    back = next(iter(backs.values()))
    for name in node.input:
        shape = rows.shape(name) or ()
        if name not in backs and len(shape) >= back and shape[-back] not in {1, -1}:
            raise MixedError(f"has {shape[-back]} rows in {name} whatever the batch")
    return max(ranks) - back


RULES = {
    **dict.fromkeys((*_ONE, *_TABULAR), alone),
    **dict.fromkeys(_SEVERAL, together),
    "CastLike": _like,
}
"""By operator."""
