"""What converts an estimator: skl2onnx, taught the boosters by onnxmltools.

Syntax for Python 3.8.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnxmltools
import skl2onnx
import sklearn_imputer
import sklearn_scalers
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import get_model_alias
from skl2onnx.common._registration import get_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from skl2onnx.sklapi import CastTransformer

_CLASSIFIER = {"nocl": [True, False], "zipmap": [True, False, "columns"]}


def release() -> str:
    """Return the converters with their releases."""
    return f"skl2onnx {skl2onnx.__version__}, onnxmltools {onnxmltools.__version__}"


def convert(estimator: Any, types: list[Any], target: dict[str, int]) -> Any:
    """Return the ONNX model of an estimator; raises whatever the converters raise."""
    _register()
    model = _as_known(estimator)
    return skl2onnx.convert_sklearn(
        model, initial_types=types, options=_options(model), target_opset=target
    )


def _options(model: Any) -> dict[Any, Any]:
    """Return the options of each estimator in a model: tensors for maps, the locale for texts."""
    options: dict[Any, Any] = {}
    for each in parts(model):
        names = {kind.__name__ for kind in type(each).__mro__}
        if "_VectorizerMixin" in names:
            # Any other locale would have to be installed where the model is served.
            options[id(each)] = {"locale": "C"}
    if hasattr(model, "predict_proba") and _knows(model, "zipmap"):
        options[id(model)] = {"zipmap": False}
    return options


def _knows(model: Any, option: str) -> bool:
    """Return whether the converter of a model, or of a pipeline's last step, has an option."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    try:
        return option in (get_converter(get_model_alias(type(last))).get_allowed_options() or ())
    except (RuntimeError, ValueError):  # nothing converts it, which the conversion says
        return False


def parts(model: Any) -> list[Any]:
    """Return an estimator and all that it is made of."""
    found, parameters = [model], getattr(model, "get_params", None)
    if parameters is None or isinstance(model, type):
        return found
    inner: list[Any] = [step for _, step in getattr(model, "steps", [])]
    inner += [each[1] for each in getattr(model, "transformers_", [])]
    inner += [each[1] for each in getattr(model, "transformer_list", [])]
    return [*found, *(part for each in inner if not isinstance(each, str) for part in parts(each))]


def _register() -> None:
    sklearn_imputer.register()
    sklearn_scalers.register()
    for module, names, register in (
        ("xgboost", ("XGBClassifier", "XGBRFClassifier"), _xgboost_classifier),
        ("xgboost", ("XGBRegressor", "XGBRFRegressor", "XGBRanker"), _xgboost_regressor),
        ("lightgbm", ("LGBMClassifier",), _lightgbm_classifier),
        ("lightgbm", ("LGBMRegressor", "LGBMRanker"), _lightgbm_regressor),
    ):
        try:
            package = __import__(module)
        except ImportError:
            continue
        for name in names:
            register(getattr(package, name), module.capitalize() + name)


def _xgboost_classifier(kind: type, alias: str) -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    update_registered_converter(
        kind, alias, calculate_linear_classifier_output_shapes, convert_xgboost,
        options=_CLASSIFIER,
    )  # fmt: skip


def _xgboost_regressor(kind: type, alias: str) -> None:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    update_registered_converter(
        kind, alias, calculate_linear_regressor_output_shapes, convert_xgboost
    )


def _lightgbm_classifier(kind: type, alias: str) -> None:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    update_registered_converter(
        kind, alias, calculate_linear_classifier_output_shapes, convert_lightgbm,
        options=_CLASSIFIER,
    )  # fmt: skip


def _lightgbm_regressor(kind: type, alias: str) -> None:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    update_registered_converter(
        kind, alias, calculate_linear_regressor_output_shapes, convert_lightgbm,
        options={"split": None},
    )  # fmt: skip


# ── boosters as their converters know them ────────────────────────────────────────────────────


def _as_known(estimator: Any) -> Any:
    """Return an estimator in the form that the converters take; the original stays as it is."""
    steps = getattr(estimator, "steps", None)
    if not steps:
        if type(estimator).__name__ == "LightgbmBooster":
            return _of_booster(estimator)
        if getattr(estimator, "flatten_transform", False):
            # A vote's other way to transform is not converted; it answers as before.
            return copy.copy(estimator).set_params(flatten_transform=False)
        return _renamed(estimator) if hasattr(estimator, "get_booster") else estimator
    name, last = steps[-1]
    known = _as_known(last)
    single = hasattr(last, "get_booster") or _has_single_trees(last)
    if known is last and not single:
        return estimator
    copied = copy.copy(estimator)
    copied.steps = [*steps[:-1], (name, known)]
    if single and len(steps) > 1:
        # Such trees take FP32 alone, whatever the steps before them gave.
        copied.steps.insert(-1, ("cloche_cast", CastTransformer(dtype=np.float32)))
    return copied


def _has_single_trees(estimator: Any) -> bool:
    """Return whether an estimator is one of scikit-learn's trees, whose values are FP32."""
    parts = getattr(estimator, "estimators_", None)
    first = np.asarray(parts, dtype=object).ravel()[0] if parts is not None else estimator
    return hasattr(first, "tree_")


def _renamed(estimator: Any) -> Any:
    """Return an estimator of XGBoost whose features are called f0, f1 …, as the converter asks."""
    booster = estimator.get_booster()
    if not booster.feature_names:
        return estimator
    copied = copy.copy(estimator)
    copied._Booster = booster.copy()
    copied._Booster.feature_names = [f"f{index}" for index in range(booster.num_features())]
    return copied


def _of_booster(model: Any) -> Any:
    """Return a booster of LightGBM in one of its estimators."""
    import lightgbm

    classifier = model._estimator_type == "classifier"
    made = lightgbm.LGBMClassifier() if classifier else lightgbm.LGBMRegressor()
    made._Booster, made.fitted_ = model.booster, True
    made._n_features = made._n_features_in = model.n_features_in_
    made._objective = str(model.booster.dump_model(num_iteration=1)["objective"]).split(" ")[0]
    if classifier:
        made._classes, made._n_classes = model.classes_, len(model.classes_)
        made._class_map = {each: each for each in model.classes_}
    return made
