"""MLflow's transformers and sentence_transformers flavors: the folder that their libraries saved.

A model whose signature is of text stays with MLflow's Python function, which has the tokenizer in
it. Without text the network itself is served.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import Finding, Severity

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.artifacts import ModelFacts, ModelOptions, ModelSnapshot
    from cloche.formats.unloaded import Environment

_FOLDERS = {"sentence_transformers": "model.sentence_transformer", "transformers": "model"}
"""Where each flavor puts the model (`model_data_subpath`, `model_binary` in MLflow)."""
_TOKENIZER = "components/tokenizer"
_FUNCTION = "python_function"


def folder_of(snapshot: ModelSnapshot) -> str | None:
    """Return the folder of the network to serve; None if something else has to serve the model."""
    metadata = snapshot.metadata
    names = [folder for flavor, folder in _FOLDERS.items() if flavor in metadata.flavors]
    if not names or (_FUNCTION in metadata.flavors and _is_of_text(snapshot)):
        return None
    return str(PurePosixPath(snapshot.entry).parent / names[0])


def of_text(snapshot: ModelSnapshot) -> tuple[Finding, ...]:
    """Return what is worth telling of a pipeline that MLflow's Python function serves."""
    if not _FOLDERS.keys() & set(snapshot.metadata.flavors):
        return ()
    what = "It is a pipeline that takes text; MLflow's Python function serves all of it."
    hint = "A later version serves tokenizer and network apart, the network as ONNX."
    return (Finding(Severity.NOTE, "inspection.mlflow.pipeline", what, hint=hint),)


def facts(
    snapshot: ModelSnapshot, root: Path, path: str, options: ModelOptions, declared: Environment
) -> ModelFacts:
    """Return the facts of the network in a folder; raises ClocheError as for such a folder."""
    from cloche.formats.transformers.inspection import inspect_folder

    files = {
        str(PurePosixPath(entry.path).relative_to(path)): root / entry.path
        for entry in snapshot.files
        if PurePosixPath(entry.path).is_relative_to(path)
    }
    needed = options.requirements or declared.requirements
    known = inspect_folder(
        snapshot, files, path, replace(options, requirements=needed, python=declared.python)
    )
    base = PurePosixPath(path).parent
    tokenizer = str(base / _TOKENIZER)
    if known.loading and any(each.path.startswith(f"{tokenizer}/") for each in snapshot.files):
        known.loading.options["tokenizer"] = f"../{_TOKENIZER}"
    return replace(known, findings=(*declared.findings, *known.findings))


def _is_of_text(snapshot: ModelSnapshot) -> bool:
    signature = snapshot.metadata.signature
    return signature is not None and any(spec.datatype == "BYTES" for spec in signature.inputs)
