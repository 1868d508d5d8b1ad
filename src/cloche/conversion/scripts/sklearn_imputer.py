"""SimpleImputer in ONNX, of any type: ONNX's own operator takes FP32 and whole numbers alone.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn_missing
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)


def register() -> None:
    """Put this converter in the place of skl2onnx's."""
    from sklearn.impute import SimpleImputer

    update_registered_converter(SimpleImputer, "ClocheSimpleImputer", _shape, _convert)


def _shape(operator: Any) -> None:
    imputer = operator.raw_operator
    if getattr(imputer, "indicator_", None) is not None:
        raise NotImplementedError("SimpleImputer with add_indicator is not converted")
    kind = type(operator.inputs[0].type)
    width = sum(each.type.shape[1] for each in operator.inputs)
    operator.outputs[0].type = kind([operator.inputs[0].type.shape[0], width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    imputer, output = operator.raw_operator, operator.outputs[0].full_name
    name = operator.inputs[0].full_name
    if len(operator.inputs) > 1:
        name = scope.get_unique_variable_name("concat")
        container.add_node("Concat", [each.full_name for each in operator.inputs], name, axis=1)
    if isinstance(operator.inputs[0].type, (StringTensorType, Int64TensorType)):
        if isinstance(imputer.missing_values, (str, int)):
            raise NotImplementedError("SimpleImputer of missing_values that are text or whole")
        if getattr(imputer, sklearn_missing.MARK, False):
            _fill_empty(imputer, name, output, scope, container)
            return
        # Whole numbers have no NaN, and text only where an empty one stands for it.
        container.add_node("Identity", [name], output, name=scope.get_unique_operator_name("same"))
        return
    wide = isinstance(operator.inputs[0].type, DoubleTensorType)
    if not wide and not isinstance(operator.inputs[0].type, FloatTensorType):
        raise NotImplementedError("SimpleImputer of this type")
    dtype = np.float64 if wide else np.float32
    fill = scope.get_unique_variable_name("fill")
    statistics = np.asarray(imputer.statistics_, dtype=dtype).reshape(1, -1)
    if np.isnan(statistics).any():
        raise NotImplementedError("SimpleImputer that leaves out columns without values")
    _constant(container, fill, statistics)
    container.add_node(
        "Where", [_missing(imputer, name, dtype, scope, container), fill, name], output
    )


def _fill_empty(imputer: Any, name: str, output: str, scope: Any, container: Any) -> None:
    """Add what fills in empty texts.

    ONNX compares texts from opset 19 on alone, so they are numbered first.
    """
    number, empty, fill = (scope.get_unique_variable_name(each) for each in ("n", "empty", "fill"))
    container.add_node(
        "LabelEncoder", [name], number, op_domain="ai.onnx.ml", op_version=2,
        name=scope.get_unique_operator_name("empty"),
        keys_strings=[""], values_int64s=[1], default_int64=0,
    )  # fmt: skip
    container.add_node("Cast", [number], empty, to=TensorProto.BOOL)
    texts = [each.encode("utf-8") for each in imputer.statistics_]
    container.add_initializer(fill, TensorProto.STRING, [1, len(texts)], texts)
    container.add_node("Where", [empty, fill, name], output)


def _missing(imputer: Any, name: str, dtype: Any, scope: Any, container: Any) -> str:
    """Add the node that says which values are missing."""
    missing = str(scope.get_unique_variable_name("missing"))
    value = imputer.missing_values
    if isinstance(value, float) and value != value:  # noqa: PLR0124
        container.add_node("IsNaN", [name], missing)
        return missing
    given = scope.get_unique_variable_name("given")
    _constant(container, given, np.asarray(value, dtype))
    container.add_node("Equal", [name, given], missing, op_version=13)
    return missing


def _constant(container: Any, name: str, values: Any) -> None:
    tensor = numpy_helper.from_array(values, name)
    container.add_initializer(name, tensor.data_type, list(tensor.dims), tensor)
