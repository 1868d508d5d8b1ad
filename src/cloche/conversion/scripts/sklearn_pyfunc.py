"""An estimator in a folder of MLflow, called as the Python function that serves it unconverted.

`how` has the `inputs` and `outputs` of its signature (null without outputs), `columns`, and
`predict`, the method that MLflow calls. Syntax for Python 3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sklearn_boosters
from own_model import OwnModel
from pyfunc_answers import read
from pyfunc_inputs import Inputs
from pyfunc_outputs import Outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

BOOSTER = "booster"
"""The method of a booster alone, whose answer is no class."""


class Function(OwnModel):
    """The function, and the estimator in it."""

    def __init__(self, folder: str, how: dict[str, Any]) -> None:
        """Load the folder as it is served."""
        import mlflow.pyfunc

        super().__init__()
        loaded = mlflow.pyfunc.load_model(folder)
        self._inputs = Inputs([_entry(one) for one in how["inputs"]], loaded)
        told = how["outputs"]
        self._outputs = Outputs([_entry(one) for one in told], batches=True) if told else None
        estimator = _estimator(loaded._model_impl)
        self.estimator = sklearn_boosters.as_estimator(estimator)
        alone = self.estimator is not estimator
        self.methods = {BOOSTER if alone else how["predict"]: "output"}
        names = getattr(self.estimator, "feature_names_in_", None)
        self.names = None if names is None else [str(name) for name in names]
        self.categories: dict[str, list[Any]] = {}

    def call(self, arrays: Arrays) -> Arrays:
        """Return the answer by name, as it is served."""
        rows = len(next(iter(arrays.values())))
        result = self._inputs.predict(self._inputs.make(self._inputs.decoded(arrays)))
        return dict(read(result)) if self._outputs is None else self._outputs.read(result, rows)


def _estimator(function: Any) -> Any:
    """Return the estimator in a flavor's own wrapper."""
    for name in ("sklearn_model", "xgb_model", "lgb_model"):
        if hasattr(function, name):
            return getattr(function, name)
    return function


def _entry(told: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of Triton's configuration, which the function's code reads."""
    kind = "STRING" if told["datatype"] == "BYTES" else told["datatype"]
    return {"name": told["name"], "data_type": "TYPE_" + kind, "dims": told["shape"][1:]}
