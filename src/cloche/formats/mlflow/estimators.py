"""MLflow's flavors of estimators: sklearn, xgboost, lightgbm.

They are served as Python functions, or converted where the answers are those of the function: names
and types are the same. What a graph of plain tensors cannot carry stays with the function. Without
a signature nothing tells the function's inputs, but the estimator does: its own file is loaded.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import Loading
from cloche.artifacts.model import LENGTHS
from cloche.formats import unloaded
from cloche.formats.sklearn import contents
from cloche.formats.xgboost.file import is_booster

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot, TensorSpec

_LOADERS = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm"})
"""Modules of MLflow that load a Python function of such a flavor."""
_HELD = {"date": "times", "json": "structures", "binary": "bytes"}


def without_signature(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> Loading | None:
    """Return how the only estimator in a folder is loaded without MLflow; None without one.

    The method is the one that MLflow calls, unless another is asked for.
    """
    tags = snapshot.metadata.tags
    if tags.get("python_function.loader_module") not in _LOADERS:
        return None
    folder = PurePosixPath(snapshot.entry).parent
    beside = [entry.path for entry in snapshot.files if PurePosixPath(entry.path).parent == folder]
    found = [(path, kind) for path in beside if (kind := _kind(root / path)) is not None]
    if len(found) != 1:
        return None
    path, kind = found[0]
    asked = options.method or tags.get("python_function.predict_fn")
    method = {"method": asked} if asked and (options.method or kind in _PICKLED) else {}
    return Loading("sklearn", kind, path, method)


_PICKLED = ("pickle", "skops")
_BOOSTERS = {".lgb": "lightgbm", ".txt": "lightgbm"}
"""MLflow's names for LightGBM's own format, which is text."""


def _kind(path: Path) -> str | None:
    """Return how the loader calls what a file holds; None for a file that is no estimator."""
    if contents.is_one(path):
        return contents.contents(path).kind.value
    if is_booster(path):
        return "xgboost"
    written = path.suffix in _BOOSTERS and path.read_bytes()[:5] == b"tree\n"
    return "lightgbm" if written else None


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
    if spec.name.endswith(LENGTHS) and spec.marks is not None:
        return f"the column {spec.marks} holds lists"
    if spec.marks is not None:
        return f"the column {spec.marks} may miss values, for which ONNX has no text"
    if spec.holds is not None:
        return f"{spec.name} holds {_HELD[spec.holds]}"
    if known.columns and spec.shape != (-1, 1):
        return f"the column {spec.name} holds lists"
    return None


def _told(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
