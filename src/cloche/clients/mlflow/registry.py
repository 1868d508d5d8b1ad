"""What a registry tells of models, and the errors for what it does not have."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cloche.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    version: str
    source: str
    """Where it was registered from: `models:/m-…`, or the URI of a folder of artifacts."""
    location: str | None
    """The URI of its artifacts where the registry keeps one of its own."""
    run_id: str | None
    created: int
    """Milliseconds since 1970."""
    status: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A logged model of MLflow 3; `location` is the URI of its folder."""

    model_id: str
    name: str
    location: str
    run_id: str | None
    created: int
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A run; `location` is the URI of its artifacts, `models` the logged models it made."""

    run_id: str
    location: str
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()


class Registry(Protocol):
    """Where MLflow keeps its records. Every call raises ClocheError (`mlflow.…`)."""

    @property
    def where(self) -> str:
        """Return its URI without credentials."""

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number; mlflow.version or mlflow.model when there is none."""

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return what an alias names now; mlflow.alias or mlflow.model when there is none."""

    def latest_version(self, name: str) -> ModelVersion:
        """Return the version with the highest number."""

    def location(self, version: ModelVersion) -> str:
        """Return the URI of a version's artifacts, in full."""

    def logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model; mlflow.logged_model when there is none."""

    def run(self, run_id: str) -> Run:
        """Return a run; mlflow.run when there is none."""

    def close(self) -> None:
        """Give back connections."""


def finite(metrics: Iterable[tuple[str, float | str]]) -> dict[str, float]:
    """Return the metrics that are numbers: JSON has no NaN and no infinity."""
    return {key: number for key, value in metrics if math.isfinite(number := float(value))}


def no_model(name: str, names: Sequence[str], where: str) -> NotFoundError:
    """Return the error for a name that is not registered, with the names that are."""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    elif names:
        hint = f"Registered are {_list(names)}."
    else:
        hint = "No model is registered there: check MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI."
    what = f"No model is registered under the name {name!r}."
    return NotFoundError("mlflow.model", what, where=where, hint=hint)


def no_alias(name: str, alias: str, aliases: Sequence[str], where: str) -> NotFoundError:
    """Return the error for an alias that a model does not have, with those it has."""
    has = f"It has {_list(aliases)}." if aliases else f"It has none: write models:/{name}/VERSION."
    what = f"The model {name!r} has no alias {alias!r}."
    return NotFoundError("mlflow.alias", what, where=where, hint=has)


def no_version(name: str, version: str, versions: Sequence[str], where: str) -> NotFoundError:
    """Return the error for a version that a model does not have, with those it has."""
    has = f"It has {_list(versions)}." if versions else "It has no versions."
    what = f"The model {name!r} has no version {version}."
    return NotFoundError("mlflow.version", what, where=where, hint=has)


def no_run(run_id: str, where: str) -> NotFoundError:
    """Return the error for a run that is not there."""
    hint = "Check the id of the run and MLFLOW_TRACKING_URI."
    return NotFoundError("mlflow.run", f"There is no run {run_id}.", where=where, hint=hint)


def no_logged_model(model_id: str, where: str) -> NotFoundError:
    """Return the error for a logged model that is not there."""
    hint = "Check the id of the model and MLFLOW_TRACKING_URI."
    what = f"There is no logged model {model_id}."
    return NotFoundError("mlflow.logged_model", what, where=where, hint=hint)


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
