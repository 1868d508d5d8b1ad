"""References to MLflow models, parsed.

    models:/digits@champion models:/digits/3     models:/digits/latest     models:/m-<id>
    runs:/<run id>/<path>

The forms are those of MLflow's documentation ("Referencing artifacts" and "Model registry").
Stages, deprecated by MLflow since 2.9, are refused: they cannot be pinned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloche.sources.references import split, wrong


@dataclass(frozen=True, slots=True)
class RegisteredModelReference:
    """A version of a registered model: exactly one of number, alias, or the newest."""

    text: str
    name: str
    version: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedModelReference:
    """A logged model of MLflow 3 by its id."""

    text: str
    model_id: str


@dataclass(frozen=True, slots=True)
class RunReference:
    """A model that a run logged, by its name or artifact path."""

    text: str
    run_id: str
    path: str


MlflowReference = RegisteredModelReference | LoggedModelReference | RunReference

FORMS = (
    "models:/NAME@ALIAS",
    "models:/NAME/VERSION",
    "models:/NAME/latest",
    "models:/m-ID",
    "runs:/RUN/PATH",
)
_HINT = f"Write {', '.join(FORMS[:-1])}, or {FORMS[-1]}."
_STAGES = frozenset({"none", "staging", "production", "archived"})
_RUN_ID = re.compile(r"[A-Za-z0-9_-]+")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")


def parse(text: str) -> MlflowReference:
    """Parse a reference of the schemes `models` and `runs`; raises UsageError."""
    scheme, rest = split(text)
    return _parse_run(text, rest) if scheme == "runs" else _parse_models(text, rest)


def _parse_models(text: str, rest: str) -> RegisteredModelReference | LoggedModelReference:
    if rest.startswith("/"):
        what = "Cloche reads models from the registry that MLFLOW_REGISTRY_URI names."
        raise wrong("authority", text, what, "Write models:/ with one slash.")
    if "@" in rest:
        name, _, alias = rest.rpartition("@")
        if name not in {"", ".", ".."} and alias and "/" not in rest:
            return RegisteredModelReference(text, name, alias=alias)
        raise wrong("alias", text, "An alias is written models:/NAME@ALIAS.", _HINT)
    name, slash, version = rest.partition("/")
    if not slash and _MODEL_ID.fullmatch(name):
        return LoggedModelReference(text, name)
    if name in {"", ".", ".."} or not version or "/" in version:
        hint = f"Write models:/{name or 'NAME'}@ALIAS or models:/{name or 'NAME'}/VERSION."
        raise wrong("version", text, "The reference names no version of the model.", hint)
    if version.lower() in _STAGES:
        what = f"{version!r} is a stage, which MLflow has deprecated in favour of aliases."
        hint = (
            f"Give the version an alias in MLflow and write models:/{name}@{version.lower()},"
            f" or write its number: models:/{name}/VERSION."
        )
        raise wrong("stage", text, what, hint)
    if version.lower() == "latest":
        return RegisteredModelReference(text, name)
    if not version.isascii() or not version.isdigit():
        what = f"{version!r} is not a version number."
        raise wrong("version", text, what, f"For an alias write models:/{name}@{version}.")
    return RegisteredModelReference(text, name, version=version)


def _parse_run(text: str, rest: str) -> RunReference:
    run_id, _, path = rest.partition("/")
    path = path.strip("/")
    if not _RUN_ID.fullmatch(run_id) or not path or ".." in path.split("/"):
        what = "The reference does not name a run and the model that it logged."
        raise wrong("run", text, what, "Write runs:/RUN/PATH, such as runs:/8f2c…/model.")
    return RunReference(text, run_id, path)
