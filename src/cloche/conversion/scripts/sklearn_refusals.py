"""Finds out what an estimator refuses, so that its graph refuses it too. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn_cases

if TYPE_CHECKING:
    from interface import Interface, Tensor
    from onnx_guards import Guarded
    from sklearn_model import Estimator
    from sklearn_values import Known


def guard(guards: Guarded, model: Estimator, found: Interface, known: Known) -> None:
    """Add the guards of each input, as the estimator refuses missing, infinite, unknown values."""
    for tensor in found.inputs:
        if tensor.datatype.startswith("FP"):
            if _refuses(model, found, known, tensor, np.nan):
                guards.missing(tensor.name)
            if _refuses(model, found, known, tensor, np.inf):
                guards.infinite(tensor.name)
        elif _refuses_unknown(model, found, known, tensor):
            kind = str if tensor.datatype == "BYTES" else int
            values = known.categories.get(tensor.name, [])
            if values and all(isinstance(each, kind) for each in values):
                guards.unknown(tensor.name, values)


def _refuses(
    model: Estimator, found: Interface, known: Known, tensor: Tensor, value: float
) -> bool:
    """Return whether a value in any column of an input is refused."""
    width = tensor.shape[1] if len(tensor.shape) > 1 else 1
    request = sklearn_cases.rows(found, known, max(1, width), 20)
    for row in range(width):
        request[tensor.name][row].reshape(-1)[row] = value
    return _is_refused(model, request)


def _refuses_unknown(model: Estimator, found: Interface, known: Known, tensor: Tensor) -> bool:
    """Return whether a value that is none of the categories is refused."""
    request = sklearn_cases.rows(found, known, 1, 20)
    request[tensor.name] = sklearn_cases.unknown(request[tensor.name])
    return _is_refused(model, request)


def _is_refused(model: Estimator, request: dict[str, Any]) -> bool:
    try:
        model.call(request)
    except Exception:  # noqa: BLE001 - whatever it raises says so
        return True
    return False
