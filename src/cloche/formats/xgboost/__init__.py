"""Boosters in XGBoost's own formats: JSON and UBJSON."""

from cloche.formats.xgboost.format import XgboostFormat

__all__ = ["XgboostFormat"]
