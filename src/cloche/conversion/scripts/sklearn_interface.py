"""The interface of an estimator, proven by calling it. Syntax for Python 3.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asking
import sklearn_columns
from interface import Interface, Tensor, datatype_of, proven, told_tensors
from own_model import Unusable
from sklearn_values import Known

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn_model import Estimator

    Arrays = dict[str, NDArray[Any]]

_LONGEST = 300


def discover(
    model: Estimator, told: list[dict[str, Any]] | None, example: Arrays | None
) -> tuple[Interface, Known]:
    """Return the first interface that the estimator answers, and values for it.

    Raises Unusable `conversion.inputs` where it refuses all that its steps and an example tell.
    """
    refused = None
    for inputs in _proposals(model, told, example):
        names = [tensor.name for tensor in inputs]
        width = inputs[0].shape[1] if names == [sklearn_columns.INPUT] and _is_matrix(inputs) else 0
        values = Known(model.estimator, names, width, example)
        values.categories.update(model.categories)
        for rows, values.positive in ((2, False), (1, False), (2, True)):
            sample = {tensor.name: values.of(tensor, {0: rows}) for tensor in inputs}
            try:
                answer = model.call(sample)
            except Unusable:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it raises says that it refuses
                refused = refused or error
                continue
            return proven(model.call, inputs, sample, answer, values), values
    raise _unknown(model, refused)


def _is_matrix(inputs: list[Tensor]) -> bool:
    return len(inputs[0].shape) == 2


def _proposals(
    model: Estimator, told: list[dict[str, Any]] | None, example: Arrays | None
) -> list[list[Tensor]]:
    if told:
        return [told_tensors(told)]
    found = sklearn_columns.proposals(model.estimator, model.names, model.categories)
    if example is None:
        return found
    shapes = {name: [-1, *array.shape[1:]] for name, array in example.items()}
    given = [Tensor(name, datatype_of(array), shapes[name]) for name, array in example.items()]
    same = [each for each in found if [one.name for one in each] == list(example)]
    # What the steps tell of columns is more than the types of one example; a matrix has its own.
    return [given, *found] if list(example) == [sklearn_columns.INPUT] else [*same, given, *found]


def _unknown(model: Estimator, refused: Exception | None) -> Unusable:
    if not _is_fitted(model.estimator):
        kind = type(model.estimator).__name__
        return Unusable(
            "conversion.content",
            f"The file holds a {kind} that was not fitted.",
            "Fit it, and save it again.",
        )
    said = " ".join(str(refused).split())[:_LONGEST] if refused else ""
    columns = ", ".join(model.names or []) or "none named"
    return Unusable(
        "conversion.inputs",
        f"Nothing tells the inputs of the model (columns: {columns})."
        + (f" It refuses what was tried: {said}" if said else ""),
        asking.ask(model.names or [sklearn_columns.INPUT]),
    )


def _is_fitted(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    except Exception:  # noqa: BLE001 - of another library, which may not know the question
        return True
    return True
