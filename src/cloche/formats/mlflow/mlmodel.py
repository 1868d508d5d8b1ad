"""MLmodel and the files beside it, read into the metadata of a snapshot.

Reads only YAML, JSON and text; never loads the model.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ModelMetadata
from cloche.environments.uv import without_credentials
from cloche.formats import requirement_files
from cloche.formats.mlflow import declared
from cloche.formats.mlflow.documents import read_yaml, wrong
from cloche.formats.mlflow.signature import parse_signature

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = "MLmodel"
_OF_FUNCTION = ("loader_module", "predict_fn")
"""What MLmodel says of how the Python function is loaded and which method it calls."""


def read_metadata(folder: Path) -> ModelMetadata:
    """Return the metadata of a folder saved by MLflow.

    Raises source.mlflow.mlmodel for an unreadable MLmodel, and source.mlflow.signature.
    """
    path = folder / ENTRY
    document = read_yaml(path)
    flavors = document.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise wrong(ENTRY, "it lists no flavors")
    signature = document.get("signature")
    return ModelMetadata(
        signature=parse_signature(signature, str(path)) if isinstance(signature, dict) else None,
        input_example=_input_example(folder, document),
        requirements=_requirements(folder),
        python=_python(folder, flavors),
        flavors=tuple(str(name) for name in flavors),
        tags=_tags(document),
        run_id=str(document["run_id"]) if document.get("run_id") else None,
    )


def _input_example(folder: Path, document: dict[str, Any]) -> str | None:
    """Return the path of the example in the scoring server's form, else as it was given."""
    info = document.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    for key in ("serving_input_path", "artifact_path"):
        name = info.get(key)
        if isinstance(name, str) and (folder / name).is_file() and ".." not in name:
            return name
    return None


def _requirements(folder: Path) -> tuple[str, ...]:
    """Return the lines of requirements.txt, else the pip part of conda.yaml, without passwords."""
    try:
        lines = requirement_files.read(folder / declared.REQUIREMENTS)
    except (FileNotFoundError, IsADirectoryError):
        lines = declared.read_conda(folder).pip
    return tuple(map(without_credentials, lines))


def _python(folder: Path, flavors: dict[str, Any]) -> str | None:
    if version := declared.python_of(folder):
        return version
    function = flavors.get("python_function")
    version = function.get("python_version") if isinstance(function, dict) else None
    return str(version) if version else None


def _tags(document: dict[str, Any]) -> dict[str, str]:
    """Return the model-level fields of MLmodel, by MLflow's names."""
    tags = {
        key: str(document[key])
        for key in ("mlflow_version", "model_id", "utc_time_created")
        if document.get(key)
    }
    function = document["flavors"].get("python_function")
    for key in _OF_FUNCTION if isinstance(function, dict) else ():
        if function.get(key):
            tags[f"python_function.{key}"] = str(function[key])
    signature = document.get("signature")
    if isinstance(signature, dict) and signature.get("params"):
        tags["signature.params"] = _params(signature["params"])
    if isinstance(document.get("metadata"), dict):
        tags |= {f"metadata.{key}": str(value) for key, value in document["metadata"].items()}
    return tags


def _params(written: Any) -> str:
    try:
        return json.dumps(json.loads(written))
    except (TypeError, ValueError, RecursionError) as error:
        raise wrong(ENTRY, f"the parameters in its signature are not JSON ({error})") from None
