"""MLmodel and the files beside it, read into the metadata of a snapshot.

Reads only YAML, JSON and text; never loads the model.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cloche.artifacts import ModelMetadata
from cloche.errors import ClocheError
from cloche.formats.mlflow.signature import parse_signature

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = "MLmodel"
_LARGEST = 16 * 2**20


def read_metadata(folder: Path) -> ModelMetadata:
    """Return the metadata of a folder saved by MLflow.

    Raises source.mlflow.mlmodel for an unreadable MLmodel, and source.mlflow.signature.
    """
    path = folder / ENTRY
    document = read_yaml(path)
    flavors = document.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise _wrong(path, "it lists no flavors")
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


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises source.mlflow.mlmodel."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > _LARGEST:
            raise _wrong(path, "it is too large")
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise _wrong(path, "it is not text") from None
    except YAMLError as error:
        raise _wrong(path, " ".join(str(error).split())) from None
    if not isinstance(document, dict):
        raise _wrong(path, "it is not a mapping")
    return document


def _wrong(path: Path, why: str) -> ClocheError:
    return ClocheError(
        "source.mlflow.mlmodel",
        f"Cannot read {path.name} of the MLflow model: {why}.",
        where=path.name,
        hint="Save or log the model with MLflow again.",
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
    """Return the lines of requirements.txt, else the pip part of conda.yaml."""
    try:
        text = (folder / "requirements.txt").read_text(encoding="utf-8")
    except FileNotFoundError:
        lines = _conda(folder)[1]
    else:
        lines = text.replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return tuple(line for line in stripped if line)


def _python(folder: Path, flavors: dict[str, Any]) -> str | None:
    environment = folder / "python_env.yaml"
    if environment.is_file() and (version := read_yaml(environment).get("python")):
        return str(version)
    if version := _conda(folder)[0]:
        return version
    function = flavors.get("python_function")
    version = function.get("python_version") if isinstance(function, dict) else None
    return str(version) if version else None


def _conda(folder: Path) -> tuple[str | None, list[str]]:
    """Return the Python version and the pip requirements of conda.yaml."""
    path = folder / "conda.yaml"
    if not path.is_file():
        return None, []
    python, requirements = None, []
    for item in read_yaml(path).get("dependencies") or ():
        if isinstance(item, dict):
            requirements += [str(line) for line in item.get("pip") or ()]
        elif match := re.fullmatch(r"python\s*=+\s*([\d.]+)", str(item)):
            python = match[1].rstrip(".")
    return python, requirements


def _tags(document: dict[str, Any]) -> dict[str, str]:
    """Return the model-level fields of MLmodel, by MLflow's names."""
    tags = {
        key: str(document[key])
        for key in ("mlflow_version", "model_id", "utc_time_created")
        if document.get(key)
    }
    signature = document.get("signature")
    if isinstance(signature, dict) and signature.get("params"):
        tags["signature.params"] = json.dumps(json.loads(signature["params"]))
    if isinstance(document.get("metadata"), dict):
        tags |= {f"metadata.{key}": str(value) for key, value in document["metadata"].items()}
    return tags
