"""Columns of text whose missing values an estimator fills in. Syntax for Python 3.8.

The protocol has no missing text. In such a column an empty text stands for it, as in a file of CSV,
unless the estimator knows the empty text as a category.
"""

from __future__ import annotations

from typing import Any

import numpy as np

MARK = "_cloche_fills_empty"
"""The attribute of an imputer that takes an empty text for a missing one."""


def find(estimator: Any) -> dict[str, Any]:
    """Return what a missing value is to the estimator, by the column; its imputers are marked."""
    first = _first(estimator)
    names = getattr(first, "feature_names_in_", None)
    if names is None:
        return {}
    names = [str(name) for name in names]
    parts = getattr(first, "transformers_", None)
    if parts is None:
        parts = [("", estimator, names)] if _is_imputer(first) else []
    found: dict[str, Any] = {}
    for _, step, chosen in parts:
        imputer = _first(step)
        if _is_imputer(imputer) and not _knows_empty(step):
            setattr(imputer, MARK, True)
            found.update(dict.fromkeys(_named(chosen, names), imputer.missing_values))
    return found


def filled(texts: Any, missing: Any) -> Any:
    """Return a column of texts with the estimator's missing value in place of empty ones."""
    return np.array([text if text else missing for text in texts], dtype=object)


def _first(step: Any) -> Any:
    for _, inner in getattr(step, "steps", []):
        if inner not in (None, "passthrough"):
            return _first(inner)
    return step


def _is_imputer(step: Any) -> bool:
    """Return whether a step fills in missing text."""
    if type(step).__name__ != "SimpleImputer" or not hasattr(step, "statistics_"):
        return False
    missing = step.missing_values
    if missing is not None and missing == missing and str(missing) != "<NA>":  # noqa: PLR0124
        return False
    return all(isinstance(each, str) for each in step.statistics_)


def _knows_empty(step: Any) -> bool:
    known = [
        each
        for _, inner in getattr(step, "steps", [])
        for part in getattr(inner, "categories_", [])
        for each in part
    ]
    return any(isinstance(each, str) and not each for each in known)


def _named(chosen: Any, names: list[str]) -> list[str]:
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice) and isinstance(chosen.start, str):
        return names[names.index(chosen.start) : names.index(chosen.stop) + 1]
    if isinstance(chosen, slice):
        return names[chosen]
    listed = np.atleast_1d(np.asarray(chosen))
    if listed.dtype.kind in "bi":
        return [str(each) for each in np.asarray(names, dtype=object)[listed]]
    return [str(each) for each in listed]
