"""Which columns of a table a gradient-boosted model knows as categories, and which these are.

MLflow's schema has no name for such a column. Imports nothing of Cloche. Syntax for Python 3.8.
"""

# Before Python 3.10 zip() knows no strict.
# ruff: noqa: B905

from __future__ import annotations

from typing import Any


def categories(loaded: Any, labels: list[Any], text: list[Any]) -> dict[Any, Any]:
    """Return the pandas type of each column that a gradient-boosted model knows as categories.

    LightGBM keeps the categories of its columns in their order (`pandas_categorical`), XGBoost
    those of each column by its name (`get_categories`, since 3.1). `text` are those of the labels
    whose columns are text.
    """
    import pandas as pd

    inner = getattr(getattr(loaded, "_model_impl", None), "lgb_model", None)
    lightgbm = getattr(inner, "booster_", inner)
    known = getattr(lightgbm, "pandas_categorical", None)
    if known:
        columns = _categorical_features(lightgbm, labels)
        columns = columns if len(columns) == len(known) else text
        if len(columns) == len(known):
            return {label: pd.CategoricalDtype(values) for label, values in zip(columns, known)}
    inner = getattr(getattr(loaded, "_model_impl", None), "xgb_model", None)
    booster: Any = inner.get_booster() if inner and hasattr(inner, "get_booster") else inner
    kinds = getattr(booster, "feature_types", None) or []
    if "c" not in kinds or not hasattr(booster, "get_categories"):
        return {}
    exported = dict(booster.get_categories(export_to_arrow=True).to_arrow())
    by_name = {str(label): label for label in labels}
    return {
        by_name[name]: pd.CategoricalDtype(values.to_pylist())
        for name, values in exported.items()
        if values is not None and name in by_name
    }


def _categorical_features(booster: Any, labels: list[Any]) -> list[Any]:
    """Return the columns that a booster of LightGBM splits by category.

    Its text format (`feature_infos`) has the range of a number as `[0:1]`, categories as `0:1:2`.
    """
    for line in booster.model_to_string(num_iteration=1).splitlines():
        if line.startswith("feature_infos="):
            infos = line.partition("=")[2].split(" ")
            if len(infos) == len(labels):
                return [
                    label
                    for label, info in zip(labels, infos)
                    if info != "none" and not info.startswith("[")
                ]
    return []
