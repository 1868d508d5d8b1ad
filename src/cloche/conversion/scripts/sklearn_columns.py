"""What an estimator takes: a matrix, texts, or the columns of a table, as its steps tell.

Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from interface import Tensor

INPUT = "input"
NUMBERS, TEXT = "FP64", "BYTES"
_KINDS = {"O": TEXT, "U": TEXT, "S": TEXT, "i": "INT64", "u": "INT64", "b": "BOOL", "f": NUMBERS}
"""The datatype of a column by the kind of the categories that are known of it."""


def proposals(
    estimator: Any, names: list[str] | None, known_categories: dict[str, list[Any]]
) -> list[list[Tensor]]:
    """Return what the inputs may be, in the order in which they are tried.

    `names` are those of the columns that it was fitted with, with the categories of some.
    """
    if known_categories and names:
        kinds = {name: _KINDS.get(_kind(each)) for name, each in known_categories.items()}
        return [_table({name: kinds.get(name) for name in names}, NUMBERS)]
    first = first_step(estimator)
    if is_vectorizer(first):
        return [[Tensor(INPUT, TEXT, [-1])]]
    if hasattr(first, "transformers_") and getattr(first, "feature_names_in_", None) is not None:
        used = columns(first)
        return [_table(used, NUMBERS), _table(used, TEXT)]
    width = getattr(estimator, "n_features_in_", None) or getattr(first, "n_features_in_", None)
    if not width:
        return []
    told = {_KINDS.get(each) for each in _kinds_of_categories(first)} - {None, NUMBERS}
    tried = ["FP32", "FP64", TEXT, "INT64"]
    if told:
        tried = [TEXT] if TEXT in told else ["INT64", *tried]
    return [[Tensor(INPUT, kind, [-1, int(width)])] for kind in tried]


def _table(known: dict[str, str | None], unknown: str) -> list[Tensor]:
    return [Tensor(name, kind or unknown, [-1, 1]) for name, kind in known.items()]


def first_step(estimator: Any) -> Any:
    """Return the step of a pipeline that takes what clients send."""
    for _, step in getattr(estimator, "steps", []):
        if step not in (None, "passthrough"):
            return first_step(step)
    # Histogram gradient boosting encodes columns of pandas' categories by itself.
    inner = getattr(estimator, "_preprocessor", None)
    return estimator if inner is None else inner


def is_vectorizer(step: Any) -> bool:
    """Return whether a step takes texts: a vectoriser of words."""
    return any(each.__name__ == "_VectorizerMixin" for each in type(step).__mro__)


def columns(transformer: Any) -> dict[str, str | None]:
    """Return the columns that a ColumnTransformer uses, with the datatype of each if it is told."""
    names = [str(name) for name in transformer.feature_names_in_]
    known: dict[str, str | None] = {}
    for _, step, chosen in transformer.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        used = _named(chosen, names)
        kinds = [None] * len(used) if isinstance(step, str) else _told(step, len(used))
        for name, kind in zip(used, kinds):  # noqa: B905 - Python 3.8
            known[name] = known.get(name) or kind
    return {name: known[name] for name in names if name in known}


def _named(chosen: Any, names: list[str]) -> list[str]:
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            start = names.index(chosen.start) if chosen.start is not None else 0
            stop = names.index(chosen.stop) + 1 if chosen.stop is not None else len(names)
            return names[start:stop]
        return names[chosen]
    listed = [chosen] if isinstance(chosen, (str, int, np.integer)) else list(chosen)
    if listed and isinstance(listed[0], (bool, np.bool_)):
        return [name for name, taken in zip(names, listed) if taken]  # noqa: B905
    return [str(each) if isinstance(each, str) else names[int(each)] for each in listed]


def _told(step: Any, width: int) -> list[str | None]:
    """Return the datatypes that a step tells of its columns."""
    first = first_step(step)
    if is_vectorizer(first):
        return [TEXT] * width
    kinds = _kinds_of_categories(first)
    if type(first).__name__ == "SimpleImputer":
        kind = np.asarray(first.statistics_).dtype.kind
        inner = [each for _, each in getattr(step, "steps", [])[1:2]]
        told = _kinds_of_categories(inner[0]) if inner else []
        kinds = told or (["O"] * width if kind in "OUS" else ["f"] * width)
    if len(kinds) == width:
        return [_KINDS.get(each) for each in kinds]
    numeric = {"StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "PowerTransformer",
               "QuantileTransformer", "KBinsDiscretizer", "PolynomialFeatures", "SplineTransformer",
               "KNNImputer", "IterativeImputer", "Normalizer", "Binarizer", "PCA"}  # fmt: skip
    return [NUMBERS if type(first).__name__ in numeric else None] * width


def _kinds_of_categories(step: Any) -> list[str]:
    """Return the kind of the categories of each column; missing ones do not count."""
    return [_kind(each) for each in getattr(step, "categories_", [])]


def _kind(categories: Any) -> str:
    array = np.asarray(categories)
    if array.dtype.kind != "O":
        return array.dtype.kind
    known = [each for each in array if each is not None and each == each]  # noqa: PLR0124
    return "O" if not known else np.asarray(known).dtype.kind


def categories(estimator: Any, names: list[str]) -> dict[str, list[Any]]:
    """Return the categories that are known of each column of a table, or of the input."""
    first = first_step(estimator)
    found: dict[str, list[Any]] = {}
    if not hasattr(first, "transformers_"):
        known = getattr(first, "categories_", None)
        if known is not None and names == [INPUT]:
            found[INPUT] = [each for part in known for each in np.asarray(part).tolist()]
        return found
    for _, step, chosen in first.transformers_:
        if isinstance(step, str):
            continue
        own = [str(name) for name in first.feature_names_in_]
        parts = [step, *(each for _, each in getattr(step, "steps", []))]
        known = next((p.categories_ for p in parts if hasattr(p, "categories_")), None)
        if known is None:
            continue
        for name, part in zip(_named(chosen, own), known):  # noqa: B905 - Python 3.8
            found[name] = np.asarray(part).tolist()
    return found


def vocabulary(estimator: Any) -> dict[str, list[str]]:
    """Return words that a model of texts knows, by the input that takes them."""
    first = first_step(estimator)
    if is_vectorizer(first):
        return {INPUT: sorted(getattr(first, "vocabulary_", {}))}
    found = {}
    for _, step, chosen in getattr(first, "transformers_", []):
        inner = first_step(step)
        if is_vectorizer(inner):
            own = [str(name) for name in first.feature_names_in_]
            for name in _named(chosen, own):
                found[name] = sorted(getattr(inner, "vocabulary_", {}))
    return found
