"""The contract of an MLflow registry: its records, and the errors for missing ones."""

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
    """Its origin: `models:/m-…`, or the URI of a folder of artifacts."""
    location: str | None
    """The URI of its artifacts, if the registry stores a separate one."""
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
    """A run; `location` is the URI of its artifacts, `models` the models that it logged."""

    run_id: str
    location: str
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    experiment_id: str | None = None


class Registry(Protocol):
    """A store of MLflow's records. Every call raises ClocheError (`mlflow.…`)."""

    @property
    def where(self) -> str:
        """Return the store's URI without credentials."""

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number; raises mlflow.version or mlflow.model."""

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias names now; raises mlflow.alias or mlflow.model."""

    def latest_version(self, name: str) -> ModelVersion:
        """Return the version with the highest number."""

    def location(self, version: ModelVersion) -> str:
        """Return the absolute URI of a version's artifacts."""

    def logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model; raises mlflow.logged_model."""

    def run(self, run_id: str) -> Run:
        """Return a run; raises mlflow.run."""

    def close(self) -> None:
        """Close connections."""


def finite(metrics: Iterable[tuple[str, float | str]]) -> dict[str, float]:
    """Return the finite metrics: JSON has no NaN or infinity."""
    return {key: number for key, value in metrics if math.isfinite(number := float(value))}


def no_model(name: str, names: Sequence[str], where: str) -> NotFoundError:
    """Return the error for an unregistered name, with the registered names."""
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
    """Return the error for a missing alias, with the existing ones."""
    has = f"It has {_list(aliases)}." if aliases else f"It has none: write models:/{name}/VERSION."
    what = f"The model {name!r} has no alias {alias!r}."
    return NotFoundError("mlflow.alias", what, where=where, hint=has)


def no_version(name: str, version: str, versions: Sequence[str], where: str) -> NotFoundError:
    """Return the error for a missing version, with the existing ones."""
    has = f"It has {_list(versions)}." if versions else "It has no versions."
    what = f"The model {name!r} has no version {version}."
    return NotFoundError("mlflow.version", what, where=where, hint=has)


def no_run(run_id: str, where: str) -> NotFoundError:
    """Return the error for a missing run."""
    hint = "Check the id of the run and MLFLOW_TRACKING_URI."
    return NotFoundError("mlflow.run", f"There is no run {run_id}.", where=where, hint=hint)


def no_logged_model(model_id: str, where: str) -> NotFoundError:
    """Return the error for a missing logged model."""
    hint = "Check the id of the model and MLFLOW_TRACKING_URI."
    what = f"There is no logged model {model_id}."
    return NotFoundError("mlflow.logged_model", what, where=where, hint=hint)


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
