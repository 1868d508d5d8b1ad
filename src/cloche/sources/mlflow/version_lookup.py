"""Which model an MLflow reference names now.

models:/NAME@ALIAS, models:/NAME/latest → models:/NAME/3
models:/m-ID                            → itself
runs:/RUN/PATH                          → models:/m-ID where the run logged a model, else itself
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cloche.artifacts import digest_of, encode
from cloche.clients.mlflow import ForbiddenError
from cloche.errors import ClocheError, NotFoundError
from cloche.sources.mlflow.locations import ArtifactOwner
from cloche.sources.mlflow.reference import (
    LoggedModelReference,
    MlflowReference,
    RegisteredModelReference,
    RunReference,
)
from cloche.sources.source import PinnedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.clients.mlflow import LoggedModel, ModelVersion, Registry, Run

_MOST_LOGGED = 50


@dataclass(frozen=True, slots=True)
class Details:
    """The location of a model's files and its registry's records."""

    location: str
    owner: ArtifactOwner
    run_id: str | None
    model: LoggedModel | None = None
    tags: dict[str, str] = field(default_factory=dict)
    logged: tuple[str, ...] = ()
    """Names of the models that the run logged, for the error when none matches."""


@dataclass(frozen=True, slots=True)
class RegistryModel:
    """A model under its permanent name in the registry."""

    model: PinnedModel
    """Its state is the digest of the registry's record."""
    details: Callable[[], Details]
    """Fetches the rest, with more requests."""


class VersionLookup:
    """Asks the registries: `runs` for runs and logged models, `models` for registered ones."""

    def __init__(self, runs: Registry, models: Registry) -> None:
        self._runs = runs
        self._models = models

    def find(self, reference: MlflowReference) -> RegistryModel:
        """Return the model that a reference names, in as few requests as possible."""
        match reference:
            case RegisteredModelReference():
                return self._of_version(self._version(reference))
            case LoggedModelReference(model_id=model_id):
                return self._of_logged(self._runs.logged_model(model_id))
            case RunReference():
                return self._of_run(reference)

    def run(self, run_id: str | None) -> Run | None:
        """Return a run that only adds metadata; None if it is gone or forbidden."""
        if run_id is None:
            return None
        try:
            return self._runs.run(run_id)
        except (NotFoundError, ForbiddenError):
            return None

    # ── a registered model ────────────────────────────────────────────────────────────────────

    def _version(self, reference: RegisteredModelReference) -> ModelVersion:
        if reference.alias is not None:
            return self._models.version_by_alias(reference.name, reference.alias)
        if reference.version is not None:
            return self._models.version(reference.name, reference.version)
        return self._models.latest_version(reference.name)

    def _of_version(self, version: ModelVersion) -> RegistryModel:
        if version.status != "READY":
            raise ClocheError(
                "source.mlflow.unready",
                f"Version {version.version} of {version.name!r} is not ready ({version.status}).",
                where=self._models.where,
                hint="Wait until MLflow has registered it, or name another version.",
            )
        name = f"models:/{version.name}/{version.version}"
        state = _state(version.source, version.run_id, version.created)
        pinned = PinnedModel(name, version.version, state)
        return RegistryModel(pinned, partial(self._details_of_version, version))

    def _details_of_version(self, version: ModelVersion) -> Details:
        model = self._logged_model_of(version)
        run_id = version.run_id or (model.run_id if model else None)
        if model is not None:
            return Details(
                model.location, ArtifactOwner(model.model_id), run_id, model, version.tags
            )
        run = self.run(run_id)
        owner = ArtifactOwner(run=(run.run_id, run.location) if run else None)
        return Details(self._models.location(version), owner, run_id, None, version.tags)

    def _logged_model_of(self, version: ModelVersion) -> LoggedModel | None:
        """Return the logged model that a version was registered from, None if forbidden."""
        scheme, _, model_id = version.source.partition(":/")
        if scheme != "models" or not model_id.startswith("m-"):
            return None
        try:
            return self._runs.logged_model(model_id)
        except (NotFoundError, ForbiddenError):
            return None

    # ── a logged model, a run ─────────────────────────────────────────────────────────────────

    @staticmethod
    def _of_logged(model: LoggedModel) -> RegistryModel:
        details = Details(model.location, ArtifactOwner(model.model_id), model.run_id, model)
        state = _state(model.location, model.run_id, model.created)
        return RegistryModel(PinnedModel(f"models:/{model.model_id}", None, state), lambda: details)

    def _of_run(self, reference: RunReference) -> RegistryModel:
        run = self._runs.run(reference.run_id)
        logged = [self._runs.logged_model(model_id) for model_id in run.models[:_MOST_LOGGED]]
        named = [model for model in logged if model.name == reference.path]
        if named:
            return self._of_logged(max(named, key=lambda model: model.created))
        details = Details(
            location=f"{run.location.rstrip('/')}/{reference.path}",
            owner=ArtifactOwner(run=(run.run_id, run.location)),
            run_id=run.run_id,
            logged=tuple(sorted({model.name for model in logged})),
        )
        name = f"runs:/{run.run_id}/{reference.path}"
        pinned = PinnedModel(name, None, _state(run.location, run.run_id, 0))
        return RegistryModel(pinned, lambda: details)


def _state(*record: str | int | None) -> str:
    return digest_of(encode(record))
