"""Scalers in ONNX, rounded as scikit-learn rounds them.

ONNX's own Scaler multiplies by a reciprocal, and a value beside a threshold of a tree then falls on
its other side. scikit-learn scales in place, one operation after the other: some scalers and
releases round their constants to the type of the values, others round each result. Which of both
this estimator does, it is asked. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Steps = list[tuple[str, NDArray[Any]]]

_FUNCTIONS = {"Sub": np.subtract, "Div": np.divide, "Mul": np.multiply, "Add": np.add}
_ROWS = 64


def register() -> None:
    """Put this converter in the place of skl2onnx's."""
    from sklearn import preprocessing

    for name in ("StandardScaler", "RobustScaler", "MaxAbsScaler", "MinMaxScaler"):
        update_registered_converter(getattr(preprocessing, name), f"Cloche{name}", _shape, _convert)


def _shape(operator: Any) -> None:
    first = operator.inputs[0].type
    kind = DoubleTensorType if isinstance(first, DoubleTensorType) else FloatTensorType
    width = sum(each.type.shape[1] for each in operator.inputs)
    operator.outputs[0].type = kind([first.shape[0], width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    scaler = operator.raw_operator
    wide = isinstance(operator.inputs[0].type, DoubleTensorType)
    graph = _Nodes(scope, container, wide=wide)
    name = graph.joined([each.full_name for each in operator.inputs])
    steps = _steps(scaler)
    if wide or _rounds_constants(scaler, steps):
        for kind, constant in steps:
            name = graph.node(kind, [name, graph.constant(constant)])
    else:
        for kind, constant in steps:
            double = graph.node("Cast", [name], to=TensorProto.DOUBLE)
            double = graph.node(kind, [double, graph.constant(constant, np.float64)])
            name = graph.node("Cast", [double], to=TensorProto.FLOAT)
    if getattr(scaler, "clip", False):
        lowest, highest = (graph.constant(np.asarray(each)) for each in scaler.feature_range)
        name = graph.node("Clip", [name, lowest, highest])
    container.add_node("Identity", [name], operator.outputs[0].full_name)


def _steps(scaler: Any) -> Steps:
    """Return the operations of a scaler in its order, each with its constant by column."""
    if hasattr(scaler, "data_min_"):  # MinMaxScaler
        return [("Mul", scaler.scale_), ("Add", scaler.min_)]
    centred = getattr(scaler, "with_mean", False) or getattr(scaler, "with_centering", False)
    centre = getattr(scaler, "mean_", getattr(scaler, "center_", None)) if centred else None
    scaled = getattr(scaler, "with_std", getattr(scaler, "with_scaling", True))
    steps = [("Sub", centre)] if centre is not None else []
    return [*steps, ("Div", scaler.scale_)] if scaled and scaler.scale_ is not None else steps


def _rounds_constants(scaler: Any, steps: Steps) -> bool:
    """Return whether FP32 values are scaled with constants of FP32, as the scaler itself does."""
    if not steps:
        return True
    width = len(steps[0][1])
    values = np.random.default_rng(1).normal(size=(_ROWS, width)) * _spread(steps)
    values = values.astype(np.float32)
    answered = np.asarray(scaler.transform(values.copy()))
    if answered.dtype != np.float32:
        raise NotImplementedError(f"{type(scaler).__name__} that answers {answered.dtype}")
    for kind, constant in steps:
        values = _FUNCTIONS[kind](values, constant.astype(np.float32))
    if getattr(scaler, "clip", False):
        values = np.clip(values, *scaler.feature_range)
    return bool(np.array_equal(values, answered, equal_nan=True))


def _spread(steps: Steps) -> Any:
    """Return the magnitude of the values that a scaler was fitted on, by column."""
    known = [np.abs(constant) for kind, constant in steps if kind != "Mul"]
    return np.maximum(1.0, np.sum(known, axis=0)) if known else 1.0


class _Nodes:
    """The nodes that one converter adds."""

    def __init__(self, scope: Any, container: Any, *, wide: bool) -> None:
        self._scope, self._container = scope, container
        self._dtype = np.float64 if wide else np.float32

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = str(self._scope.get_unique_variable_name(kind.lower()))
        self._container.add_node(kind, inputs, output, **attributes)
        return output

    def constant(self, values: Any, dtype: Any = None) -> str:
        name = str(self._scope.get_unique_variable_name("constant"))
        tensor = numpy_helper.from_array(np.asarray(values, dtype or self._dtype), name)
        self._container.add_initializer(name, tensor.data_type, list(tensor.dims), tensor)
        return name

    def joined(self, names: list[str]) -> str:
        """Return the columns in one matrix of this type."""
        element = TensorProto.DOUBLE if self._dtype is np.float64 else TensorProto.FLOAT
        typed = [self.node("Cast", [name], to=element) for name in names]
        return typed[0] if len(typed) == 1 else self.node("Concat", typed, axis=1)
