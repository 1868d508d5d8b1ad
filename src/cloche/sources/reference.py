"""What a user writes to name a model, parsed: a path, or a URI of MLflow.

    ./model.onnx            ~/models/digits      file:///srv/models/digits
    models:/digits@champion models:/digits/3     models:/digits/latest     models:/m-<id>
    runs:/<run id>/<path>

The forms of MLflow are those of its documentation ("Referencing artifacts" and "Model registry");
stages, which MLflow has deprecated since 2.9, are refused because they cannot be pinned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cloche.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file or a folder; `path` is absolute, links in it are kept."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True)
class RegisteredModelReference:
    """A version of a registered model, by exactly one of number, alias, or the newest."""

    text: str
    name: str
    version: str | None = None
    alias: str | None = None

    @property
    def latest(self) -> bool:
        """Return whether the newest version is meant."""
        return self.version is None and self.alias is None


@dataclass(frozen=True, slots=True)
class LoggedModelReference:
    """A logged model of MLflow 3 by its id."""

    text: str
    model_id: str


@dataclass(frozen=True, slots=True)
class RunReference:
    """A model that a run logged, by the name or the artifact path it was logged under."""

    text: str
    run_id: str
    path: str


ModelReference = FileReference | RegisteredModelReference | LoggedModelReference | RunReference

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_STAGES = frozenset({"none", "staging", "production", "archived"})
_RUN_ID = re.compile(r"[A-Za-z0-9_-]+")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_FORMS = (
    "Write models:/NAME@ALIAS, models:/NAME/VERSION, models:/NAME/latest, models:/m-ID,"
    " runs:/RUN/PATH, or the path of a file or folder."
)
_MEANT = {"model": "models", "run": "runs", "registry": "models", "mlflow": "models"}


def parse(text: str, *, directory: Path) -> ModelReference:
    """Parse a reference; a relative path is relative to `directory`. Raises UsageError."""
    text = text.strip()
    if not text or "\0" in text:
        raise _wrong("empty", text, "A model reference cannot be empty.", _FORMS)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return FileReference(text, (directory / _expand(text)).absolute())
    rest = text[scheme.end() :]
    match scheme[1].lower():
        case "models":
            return _parse_models(text, rest)
        case "runs":
            return _parse_run(text, rest)
        case "file":
            return _parse_file(text)
        case other:
            hint = f"Did you mean {_MEANT[other]}:/{rest}?" if other in _MEANT else _FORMS
            what = f"Cloche does not take models from {other}: in this version."
            raise _wrong("scheme", text, what, hint)


def _expand(text: str) -> Path:
    from pathlib import Path

    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name of a user that does not exist
        return Path(text)


def _parse_file(text: str) -> FileReference:
    from pathlib import Path

    parts = urlsplit(text)
    if parts.netloc not in {"", "localhost"}:
        what = f"file: names the machine {parts.netloc!r}; Cloche reads files of this machine only."
        raise _wrong("host", text, what, "Write file:///PATH, or the path alone.")
    return FileReference(text, Path(unquote(parts.path)).absolute())


def _parse_models(text: str, rest: str) -> RegisteredModelReference | LoggedModelReference:
    if rest.startswith("/"):
        what = "Cloche reads models from the registry that MLFLOW_REGISTRY_URI names."
        raise _wrong("authority", text, what, "Write models:/ with one slash.")
    if "@" in rest:
        name, _, alias = rest.rpartition("@")
        if name not in {"", ".", ".."} and alias and "/" not in rest:
            return RegisteredModelReference(text, name, alias=alias)
        raise _wrong("alias", text, "An alias is written models:/NAME@ALIAS.", _FORMS)
    name, slash, version = rest.partition("/")
    if not slash and _MODEL_ID.fullmatch(name):
        return LoggedModelReference(text, name)
    if name in {"", ".", ".."} or not version or "/" in version:
        hint = f"Write models:/{name or 'NAME'}@ALIAS or models:/{name or 'NAME'}/VERSION."
        raise _wrong("version", text, "The reference names no version of the model.", hint)
    if version.lower() in _STAGES:
        what = (
            f"{version!r} is a stage of MLflow, which MLflow has deprecated in favour of aliases."
        )
        hint = (
            f"Give the version an alias in MLflow and write models:/{name}@{version.lower()},"
            f" or write its number: models:/{name}/VERSION."
        )
        raise _wrong("stage", text, what, hint)
    if version.lower() == "latest":
        return RegisteredModelReference(text, name)
    if not version.isascii() or not version.isdigit():
        what = f"{version!r} is not the number of a version."
        raise _wrong("version", text, what, f"For an alias write models:/{name}@{version}.")
    return RegisteredModelReference(text, name, version=version)


def _parse_run(text: str, rest: str) -> RunReference:
    run_id, _, path = rest.partition("/")
    path = path.strip("/")
    if not _RUN_ID.fullmatch(run_id) or not path or ".." in path.split("/"):
        what = "The reference does not name a run and the model that it logged."
        raise _wrong("run", text, what, "Write runs:/RUN/PATH, such as runs:/8f2c…/model.")
    return RunReference(text, run_id, path)


def _wrong(code: str, text: str, what: str, hint: str) -> UsageError:
    return UsageError(f"source.reference.{code}", what, where=text or None, hint=hint)
