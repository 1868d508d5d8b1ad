"""MLflow's TensorFlow and Keras flavors: what Keras or TensorFlow saved, without MLflow's wrapper.

`data/model.keras` or `data/model.h5` is a whole model of Keras; `data/model` and `tf2model` are
SavedModels. A table as input stays with the Python function, which makes arrays of its columns, and
so does a model of Keras whose environment has no TensorFlow.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.formats.keras import inspection as keras
from cloche.formats.keras.contents import contents
from cloche.formats.mlflow import logged
from cloche.formats.tensorflow import inspection
from cloche.formats.tensorflow.requirements import has_tensorflow, on_cpu
from cloche.formats.tensorflow.saved_model import GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import Loading, ModelFacts, ModelOptions, ModelSnapshot, Signature
    from cloche.formats.unloaded import Environment

__all__ = ["FLAVORS", "facts", "has_tensorflow", "loading"]

FLAVORS = ("tensorflow", "keras")


def loading(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> Loading | None:
    """Return how TensorFlow loads the model of a folder; None if something else has to.

    The names of the signature are those that clients see. Raises ClocheError as the inspections of
    Keras and TensorFlow.
    """
    signature = snapshot.metadata.signature
    flavors = snapshot.metadata.flavors
    if not set(FLAVORS) & set(flavors) or (signature is not None and signature.columns):
        return None
    loaded = _of_keras(snapshot, root, options) or _of_saved_model(snapshot, root, options)
    if loaded is None:
        return None
    if signature is not None:
        loaded.options["inputs"] = [spec.name for spec in signature.inputs]
        loaded.options["outputs"] = [spec.name for spec in signature.outputs]
    return loaded


def facts(
    snapshot: ModelSnapshot, loaded: Loading, told: Signature | None, declared: Environment
) -> ModelFacts:
    """Return what the folder tells without the model being loaded."""
    requirements, findings = on_cpu(declared.requirements)
    environment = replace(
        declared, requirements=requirements, findings=(*declared.findings, *findings)
    )
    flavor = next(each for each in FLAVORS if each in snapshot.metadata.flavors)
    return logged.facts(snapshot, flavor, loaded, told, environment)


def _of_keras(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> Loading | None:
    found = logged.only_file(snapshot, root, contents)
    if found is None:
        return None
    path, held = found
    loaded = keras.loading(held, root, path, options, snapshot.pinned)
    loaded.options.update(logged.code(snapshot))
    return loaded


def _of_saved_model(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> Loading | None:
    """Return how a SavedModel is loaded, if its signature may have the names of MLflow's."""
    graphs = [entry.path for entry in snapshot.files if PurePosixPath(entry.path).name == GRAPH]
    if len(graphs) != 1:
        return None
    path = str(PurePosixPath(graphs[0]).parent)
    held = inspection.saved(root / path, snapshot.pinned)
    if not held.signatures:
        return None
    chosen = inspection.signature(held, options, snapshot.pinned)
    signature = snapshot.metadata.signature
    if signature is not None and len(signature.inputs) > 1:
        given, own = ({spec.name for spec in each.inputs} for each in (signature, chosen))
        if given != own:
            return None
    return inspection.loading(chosen, path)
