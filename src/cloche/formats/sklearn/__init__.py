"""Estimators of scikit-learn, and of XGBoost and LightGBM in its manner: pickle, joblib, skops."""

from cloche.formats.sklearn.format import SklearnFormat

__all__ = ["SklearnFormat"]
