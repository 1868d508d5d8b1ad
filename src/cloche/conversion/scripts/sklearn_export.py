"""Exports an estimator to ONNX, by skl2onnx with onnxmltools' converters of boosters.

Trees and linear models of ONNX compute in FP32; other steps compute in FP64 where they are given
that. Both are tried, and what answers as the original does is taken. Syntax for Python 3.8.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import onnx
import onnx_naming
import sklearn_columns
import sklearn_registry
import sklearn_trees
from converting import Exported
from onnx_guards import Guarded
from sklearn_graph import Given, assemble
from sklearn_refusals import guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interface import Interface
    from sklearn_model import Estimator
    from sklearn_values import Known

_LONGEST = 300
_TARGET = {"": 18, "ai.onnx.ml": 3}
_PRECISIONS = ("FP32", "FP64")


def exports(model: Estimator, found: Interface, known: Known) -> Iterator[Exported | str]:
    """Yield the result in each precision, or the converter's own words where it fails."""
    if model.categories:
        yield "a booster that knows the categories of its columns is not converted"
        return
    narrow = all(tensor.datatype != "FP64" for tensor in found.inputs)
    for precision in _PRECISIONS if narrow else _PRECISIONS[::-1]:
        try:
            made = _exported(model, found, known, precision)
            onnx_naming.anonymise(made)
            onnx.checker.check_model(made)
        except Exception as error:  # noqa: BLE001 - a converter raises whatever comes
            yield f"{type(error).__name__}: {_brief(error)}"
            continue
        yield Exported(made, f"{sklearn_registry.release()}, {precision}")


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    if type(error).__name__ in {"MissingShapeCalculator", "MissingConverter"}:
        text = text.partition(" It usually means ")[0]  # advice for authors of converters
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _exported(model: Estimator, found: Interface, known: Known, precision: str) -> Any:
    whole = set(known.categories)
    given = Given(found.inputs, precision, whole, joined=_is_joined(model, found))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = sklearn_registry.convert(model.estimator, given.types(), _TARGET)
    wide = precision == "FP64"
    sklearn_trees.correct(inner.graph, sklearn_registry.parts(model.estimator), wide=wide)
    guards = Guarded()
    guard(guards, model, found, known)
    return assemble(inner, given, found, list(model.methods), guards)


def _is_joined(model: Estimator, found: Interface) -> bool:
    """Return whether the columns are one matrix for the model: it does not choose among them."""
    first = sklearn_columns.first_step(model.estimator)
    return not hasattr(first, "transformers_") and len(found.inputs) > 1
