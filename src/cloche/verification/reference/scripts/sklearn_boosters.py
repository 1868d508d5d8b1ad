"""Boosters of XGBoost and LightGBM, called as estimators of scikit-learn. Syntax for Python 3.8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_CLASSES = ("binary:logistic", "multi:softprob", "multi:softmax")
"""Objectives of XGBoost whose answers are probabilities of classes."""


def xgboost_file(path: str) -> Any:
    """Return the booster in a file as XGBoost's own estimator, by its objective."""
    return _xgboost(Path(path).read_bytes())


def lightgbm_file(path: str) -> Any:
    """Return the booster in a file as an estimator."""
    import lightgbm

    return LightgbmBooster(lightgbm.Booster(model_file=path))


def as_estimator(loaded: Any) -> Any:
    """Return an unpickled booster as an estimator; anything else as it is."""
    kind = type(loaded).__module__.partition(".")[0], type(loaded).__name__
    if kind == ("xgboost", "Booster"):
        return _xgboost(bytes(loaded.save_raw("ubj")))
    return LightgbmBooster(loaded) if kind == ("lightgbm", "Booster") else loaded


def _xgboost(data: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(data))
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    if objective in _CLASSES:
        model: Any = xgboost.XGBClassifier()
    else:
        model = xgboost.XGBRanker() if objective.startswith("rank:") else xgboost.XGBRegressor()
    model.load_model(bytearray(data))
    return model


def categories(estimator: Any, names: list[str]) -> dict[str, list[Any]]:
    """Return the categories of each column that a booster was trained with; empty without any."""
    if hasattr(estimator, "get_booster"):
        own = estimator.get_booster()
        if "c" not in (own.feature_types or []) or not hasattr(own, "get_categories"):
            return {}
        exported = dict(own.get_categories(export_to_arrow=True).to_arrow())
        return {name: each.to_pylist() for name, each in exported.items() if each is not None}
    booster: Any = getattr(estimator, "booster_", None) or getattr(estimator, "booster", None)
    known = list(getattr(booster, "pandas_categorical", None) or [])
    if not known:
        return {}
    told = booster.dump_model(num_iteration=1)["feature_infos"]
    columns = [name for name in names if told.get(name, {}).get("values")]
    return dict(zip(columns, known)) if len(columns) == len(known) else {}  # noqa: B905


class LightgbmBooster:
    """A booster of LightGBM alone: it knows the number of its classes, not their names."""

    def __init__(self, booster: Any) -> None:
        """Take a booster, which is a classifier if its objective is one of classes."""
        self.booster = booster
        self.n_features_in_ = booster.num_feature()
        if getattr(booster, "pandas_categorical", None):
            self.feature_names_in_ = booster.feature_name()
        objective = str(booster.dump_model(num_iteration=1).get("objective", "")).split(" ")[0]
        self._estimator_type = "regressor"
        if objective in {"binary", "multiclass", "multiclassova", "softmax"}:
            self._estimator_type = "classifier"
            self.classes_ = np.arange(max(2, booster.num_model_per_iteration()))
            self.predict_proba = self._probabilities

    def predict(self, table: Any) -> Array:
        """Return the class, or what the booster itself answers."""
        if self._estimator_type == "classifier":
            return self.classes_[self._probabilities(table).argmax(axis=1)]
        return np.asarray(self.booster.predict(table))

    def _probabilities(self, table: Any) -> Array:
        answer = np.asarray(self.booster.predict(table))
        return answer if answer.ndim == 2 else np.column_stack([1 - answer, answer])
