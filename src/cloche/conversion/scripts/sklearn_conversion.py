"""Estimators of scikit-learn, XGBoost and LightGBM to ONNX. Syntax for Python 3.8."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import sklearn_cases
import sklearn_export
import sklearn_interface
import sklearn_ties
from converting import Converting, Exported
from interface import NUMPY
from sklearn_columns import INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interface import Interface, Tensor
    from numpy.typing import NDArray
    from sklearn_model import Estimator
    from sklearn_values import Known

    Arrays = dict[str, NDArray[Any]]

_PACKAGES = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm"}


class Conversion(Converting):
    """One estimator on its way to ONNX."""

    model: Estimator
    known: Known

    def __init__(self, model: Estimator, example: Arrays | None) -> None:
        """Take the model, and an example whose columns may be lists of values."""
        if example is not None and set(example) != {INPUT}:
            order = [name for name in model.names or [] if name in example]
            example = {
                name: example[name].reshape(len(example[name]), -1)
                for name in (*order, *(each for each in example if each not in order))
            }
        super().__init__(model, example)

    def framework(self) -> str:
        """Return what the estimator is of, with its release: `scikit-learn 1.9.1`."""
        first = type(self.model.estimator).__module__.partition(".")[0]
        name = "lightgbm" if first == "sklearn_boosters" else first
        if name not in _PACKAGES:
            return name
        return f"{_PACKAGES[name]} {importlib.import_module(name).__version__}"

    def interface(self, told: list[dict[str, Any]] | None) -> Interface:
        """Return what a signature, the example or the estimator's steps tell."""
        found, self.known = sklearn_interface.discover(self.model, told, self.example)
        return found

    def exports(self, found: Interface) -> Iterator[Exported | str]:
        """Yield what skl2onnx and onnxmltools make, computed in FP32 and in FP64."""
        return sklearn_export.exports(self.model, found, self.known)

    def cases(self, found: Interface) -> Iterator[tuple[str, Arrays]]:
        """Yield requests for what is different in converted estimators."""
        yield from sklearn_cases.cases(found, self.known)
        names = [tensor.name for tensor in found.inputs]
        if self.example is not None and list(self.example) == names:
            kinds = {tensor.name: NUMPY[tensor.datatype] for tensor in found.inputs}
            typed = {name: array.astype(kinds[name]) for name, array in self.example.items()}
            yield "the example", typed

    def extremes(self, found: Interface) -> Iterator[tuple[str, Arrays]]:
        """Yield requests with very large and very small numbers."""
        return sklearn_cases.extremes(found, self.known)

    def judged(self, output: Tensor) -> str:
        """Return FP32 for all floats: the trees and linear models of ONNX compute in it."""
        return "FP32" if output.datatype == "FP64" else output.datatype

    def explained(
        self, request: Arrays, expected: Arrays, got: Arrays, tolerances: dict[str, float]
    ) -> NDArray[Any]:
        """Return which rows are ties by one float32 step of a value."""
        return sklearn_ties.explained(self.model.call, request, expected, got, tolerances)
