"""An estimator of scikit-learn, XGBoost or LightGBM, loaded in its own environment.

`how` says how a file is loaded:

    kind      pickle (by joblib, which reads plain pickles too), skops, xgboost and lightgbm (their
              own formats), pyfunc (a folder of MLflow; `sklearn_pyfunc.py`)
    method    what of it answers, such as predict_proba; without one what is usual for its kind

It is called with a matrix, with texts, or with the columns of a table. Syntax for Python 3.8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn_boosters
import sklearn_missing
from own_model import OwnModel, Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = dict[str, Array]

INPUT, OUTPUT = "input", "output"
LABEL, PROBABILITIES = "label", "probabilities"
_METHODS = ("predict", "transform", "score_samples", "decision_function")
"""What answers where no method is asked for, in this order, unless it is a classifier."""


class Estimator(OwnModel):
    """A fitted estimator and the methods that answer."""

    def __init__(self, estimator: Any, method: str | None = None) -> None:
        """Take an estimator; raises Unusable `conversion.method` for a method that it lacks."""
        super().__init__()
        self.estimator = estimator
        self.methods = _methods(estimator, method)
        names = getattr(estimator, "feature_names_in_", None)
        self.names = None if names is None else [str(name) for name in names]
        """Names of the columns that it was fitted with."""
        self.categories = sklearn_boosters.categories(estimator, self.names or [])
        self.missing = sklearn_missing.find(estimator)
        """What a missing text is to it, by the column in which an empty one stands for that."""
        if self.missing:
            columns = ", ".join(self.missing)
            self.notes.append(f"An empty text is a missing value, which it fills in: {columns}.")

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name; raises whatever the estimator raises."""
        given = self.argument(arrays)
        found: Arrays = {}
        for method, name in self.methods.items():
            found.update(_outputs(name, getattr(self.estimator, method)(given)))
        return found

    def argument(self, arrays: Arrays) -> Any:
        """Return what the estimator takes: a table, a matrix, or a list of texts."""
        if set(arrays) == {INPUT} and arrays[INPUT].ndim != 2:
            return [text(each) for each in arrays[INPUT]]
        if set(arrays) == {INPUT} and (self.names is None or self.names == [INPUT]):
            return _texts(arrays[INPUT]) if arrays[INPUT].dtype.kind == "O" else arrays[INPUT]
        import pandas as pd

        if set(arrays) == {INPUT}:
            return pd.DataFrame(arrays[INPUT], columns=self.names)
        given = {name: _column(array) for name, array in arrays.items()}
        for name in self.missing.keys() & given.keys():
            given[name] = sklearn_missing.filled(given[name], self.missing[name])
        table = pd.DataFrame(given)
        for name, known in self.categories.items():
            table[name] = pd.Categorical(table[name], categories=known)
        return table


def load(path: str, how: dict[str, Any]) -> OwnModel:
    """Return the model in a file or folder; raises Unusable."""
    kind, method = how["kind"], how.get("method")
    if kind == "pyfunc":
        import sklearn_pyfunc

        return sklearn_pyfunc.Function(path, how)
    try:
        loaded = _loaded(path, kind)
    except (ImportError, AttributeError) as error:
        raise _missing_class(error) from error
    if kind in {"pickle", "skops"}:
        loaded = sklearn_boosters.as_estimator(loaded)
    # A search answers with the best estimator that it found.
    loaded = getattr(loaded, "best_estimator_", loaded)
    if not any(hasattr(loaded, name) for name in _METHODS) or isinstance(loaded, type):
        raise Unusable("conversion.content", *_content(loaded))
    return Estimator(loaded, method)


def _content(loaded: Any) -> tuple[str, str]:
    """Return what a file holds that is no estimator that answers, and what to save instead."""
    kind = type(loaded).__name__
    if hasattr(loaded, "fit") and not isinstance(loaded, type):
        return (
            f"A {kind} knows only the rows that it was fitted on: it has no predict or transform.",
            "Train an estimator on its answers that takes new rows, and save that one.",
        )
    parts = loaded if isinstance(loaded, (list, tuple)) else []
    parts = list(loaded.values()) if isinstance(loaded, dict) else parts
    steps = [type(each).__name__ for each in parts if hasattr(each, "fit")]
    if len(steps) > 1:
        return (
            f"The file holds a {kind} of {', '.join(steps)}, not one estimator.",
            "Save one estimator of them, in their order: make_pipeline(first, second).",
        )
    return (
        f"The file holds a {kind}, not a fitted estimator.",
        "Save the fitted estimator alone: joblib.dump(model, FILE).",
    )


def _loaded(path: str, kind: str) -> Any:
    if kind == "xgboost":
        return sklearn_boosters.xgboost_file(path)
    if kind == "lightgbm":
        return sklearn_boosters.lightgbm_file(path)
    if kind == "skops":
        from skops import io

        return io.load(path, trusted=io.get_untrusted_types(file=path))
    import joblib

    return joblib.load(path)


def _missing_class(error: Exception) -> Unusable:
    found = re.search(r"Can't get attribute '(\w+)' on <module '__main__'", str(error))
    if found:
        what = f"Its {found[1]} was defined in a script or a notebook (__main__)"
    else:
        what = f"The model's code cannot be imported: {type(error).__name__}: {error}"
    return Unusable(
        "conversion.class",
        f"{what.rstrip('.')}.",
        "Name the package that it comes from, in the release that saved it, under `requirements:`"
        " in cloche.yaml; or log the model with MLflow and code_paths.",
    )


def _methods(estimator: Any, method: str | None) -> dict[str, str]:
    """Return the methods that answer, each with the name of its output."""
    classifier = is_classifier(estimator)
    names = {"predict": LABEL if classifier else OUTPUT, "predict_proba": PROBABILITIES}
    if method is not None:
        if not hasattr(estimator, method):
            raise Unusable(
                "conversion.method",
                f"The model, a {kind_of(estimator)}, has no method {method}.",
                "Write another `method:` in cloche.yaml, or none.",
            )
        return {method: names.get(method, OUTPUT)}
    if classifier and hasattr(estimator, "predict_proba"):
        return names
    usual = next(name for name in _METHODS if hasattr(estimator, name))
    return {usual: names.get(usual, OUTPUT)}


def kind_of(estimator: Any) -> str:
    """Return the class of the estimator that answers, the last of a pipeline."""
    steps = getattr(estimator, "steps", None)
    return kind_of(steps[-1][1]) if steps else type(estimator).__name__


def is_classifier(estimator: Any) -> bool:
    """Return whether an estimator answers classes."""
    if getattr(estimator, "_estimator_type", None) is not None:
        return bool(estimator._estimator_type == "classifier")
    try:
        from sklearn.base import is_classifier as asked

        return bool(asked(estimator))
    except (ImportError, AttributeError):
        return hasattr(estimator, "classes_")


# ── values in and out ─────────────────────────────────────────────────────────────────────────


def text(value: Any) -> str:
    """Return an element of BYTES as text."""
    return value.decode("utf-8") if isinstance(value, (bytes, bytearray)) else str(value)


def _texts(array: Array) -> Array:
    found = np.empty(array.size, dtype=object)
    found[:] = [text(each) for each in array.ravel()]
    return found.reshape(array.shape)


def _column(array: Array) -> Array:
    flat = array.reshape(-1)
    return _texts(flat) if flat.dtype.kind in "OSU" else flat


def _outputs(name: str, answer: Any) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of an answer; a list of them is of several targets."""
    if isinstance(answer, list) and answer and hasattr(answer[0], "shape"):
        for index, part in enumerate(answer):
            yield f"{name}_{index}", as_array(part)
    else:
        yield name, as_array(answer)


def as_array(answer: Any) -> Array:
    """Return an answer as the protocol carries it: text as bytes, sparse rows as dense ones."""
    array = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
    if array.dtype.kind not in "OSU":
        return array
    encoded = np.empty(array.size, dtype=object)
    encoded[:] = [text(each).encode("utf-8") for each in array.ravel()]
    return encoded.reshape(array.shape)
