"""The facts of a model of Keras that is not loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import pickles
from cloche.artifacts import Loading
from cloche.errors import ClocheError
from cloche.formats import unloaded
from cloche.formats.keras.contents import Contents, contents
from cloche.formats.tensorflow import requirements
from cloche.formats.tensorflow.inspection import FRAMEWORK

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot

_KINDS = {"keras": "a .keras file", "folder": "an unpacked .keras file", "hdf5": "HDF5"}


def inspect_model(snapshot: ModelSnapshot, root: Path, options: ModelOptions) -> ModelFacts:
    """Return the facts of a model; raises ClocheError as `loading`."""
    held = contents(root / snapshot.entry)
    if held is None:
        raise ClocheError(
            "inspection.keras.damaged",
            "The file is not whole: Keras wrote it, and it cannot be read.",
            where=snapshot.pinned,
            hint="Save or download it again.",
        )
    needed, findings = requirements.of_keras(held.version, options)
    framework = f"keras {held.version or ''}".rstrip() + f", {_KINDS[held.kind]}"
    environment = unloaded.Environment(options.python or unloaded.PYTHON, needed, findings)
    loaded = loading(held, root, snapshot.entry, options, snapshot.pinned)
    return unloaded.facts(snapshot, framework, loaded, environment)


def loading(held: Contents, root: Path, path: str, options: ModelOptions, where: str) -> Loading:
    """Return how Keras loads the model at a path under `root`.

    Raises ClocheError `inspection.keras.lambda` for a Lambda layer without trust: Keras itself
    refuses it, wherever the file comes from.
    """
    if not options.trust and _has_lambda(root / path):
        raise ClocheError(
            "inspection.keras.lambda",
            "The model has a Lambda layer: a program inside the file, which Keras runs only if told"
            " to.",
            where=where,
            hint="If you trust who made it, write `trust: true` in cloche.yaml. Or export the model"
            " where it was made: model.export(FOLDER), and deploy that folder.",
        )
    return Loading(FRAMEWORK, held.kind, path, {"trust": True} if options.trust else {})


def _has_lambda(path: Path) -> bool:
    scans = pickles.scan_folder(path) if path.is_dir() else {path.name: pickles.scan(path)}
    problems = [problem for scan in scans.values() for problem in scan.problems]
    return any(problem.what == pickles.LAMBDA_LAYER for problem in problems)
