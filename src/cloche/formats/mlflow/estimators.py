"""MLflow's flavors of estimators: sklearn, xgboost, lightgbm.

They are served as Python functions, or converted where the answers are those of the function: names
and types are the same. What a graph of plain tensors cannot carry stays with the function.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import Loading
from cloche.formats import unloaded

if TYPE_CHECKING:
    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot, TensorSpec

_LOADERS = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm"})
"""Modules of MLflow that load a Python function of such a flavor."""
_HELD = {"date": "times", "json": "structures", "binary": "bytes"}


def convertible(known: ModelFacts, snapshot: ModelSnapshot, options: ModelOptions) -> ModelFacts:
    """Return the facts of a Python function, with how a conversion loads it or why none does."""
    tags = snapshot.metadata.tags
    loader = tags.get("python_function.loader_module")
    if loader not in _LOADERS or options.conversion == "off":
        return known
    why = next((why for spec in known.inputs if (why := _reason(spec, known))), None)
    if why is None and tags.get("signature.params"):
        why = "its requests may set inference parameters"
    if why is not None:
        return unloaded.unconverted(known, why)
    folder = PurePosixPath(snapshot.entry).parent.as_posix()
    more = {
        "columns": known.columns,
        "predict": tags.get("python_function.predict_fn", "predict"),
        "outputs": None if known.outputs_assumed else [_told(spec) for spec in known.outputs],
        "inputs": [_told(spec) for spec in known.inputs],
    }
    return replace(known, convertible=Loading("sklearn", "pyfunc", folder, more))


def _reason(spec: TensorSpec, known: ModelFacts) -> str | None:
    """Return why an input keeps a model from being converted."""
    if spec.marks is not None:
        return f"the column {spec.marks} may miss values, for which ONNX has no text"
    if spec.holds is not None:
        return f"{spec.name} holds {_HELD[spec.holds]}"
    if known.columns and spec.shape != (-1, 1):
        return f"the column {spec.name} holds lists"
    return None


def _told(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
