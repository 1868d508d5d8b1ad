"""Resolving an MLflow reference to a version and its files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import ModelSnapshot
from cloche.clients.mlflow import RestRegistry, connect, registry_address, tracking_address
from cloche.errors import ClocheError
from cloche.formats.folders import list_files
from cloche.sources.downloads import fetch
from cloche.sources.intake import take_in
from cloche.sources.mlflow.locations import ArtifactOwner, Listing, RemoteFolder, locate
from cloche.sources.mlflow.reference import MlflowReference, RegisteredModelReference, parse
from cloche.sources.mlflow.resolution_cache import ResolutionCache
from cloche.sources.mlflow.version_lookup import VersionLookup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cloche.artifacts import FileEntry, ModelMetadata
    from cloche.clients.mlflow import Registry, Run
    from cloche.formats import Format
    from cloche.sources.mlflow.version_lookup import Details
    from cloche.sources.source import PinnedModel, ResolveContext


def current(text: str, context: ResolveContext) -> PinnedModel:
    """Return the version that a reference names now; costs one or two requests."""
    with _connect(context) as registries:
        return VersionLookup(registries.runs, registries.models).find(parse(text)).model


def resolve(text: str, context: ResolveContext, *, source: str, saved: Format) -> ModelSnapshot:
    """Return the snapshot of a reference, with its files in the store.

    `source` is the name of the source, `saved` the format of the folders that MLflow stores.
    """
    reference = parse(text)
    with _connect(context) as registries, ThreadPoolExecutor(1, "cloche-mlflow") as beside:
        cache = ResolutionCache(context.store, registries.scope, registries.locate)
        lookup = VersionLookup(registries.runs, registries.models)
        entry = lookup.find(reference)
        known = cache.unchanged(entry.model)
        if known is not None:
            return replace(known, reference=text)
        details = entry.details()
        run = beside.submit(lookup.run, details.run_id)
        folder = registries.locate(details.location, details.owner)
        top = folder.top() if isinstance(folder, RemoteFolder) else []
        fetching = _Fetching(entry.model, details, context, registries.runs, saved.entry)
        entries = fetching.files(folder, top)
        digest = context.store.put_tree(entries, label=entry.model.pinned)
        metadata = saved.metadata(digest, context.store)
        snapshot = ModelSnapshot(
            reference=text,
            pinned=entry.model.pinned,
            source=source,
            version=entry.model.version,
            digest=digest,
            format=saved.name,
            files=entries,
            entry=saved.entry,
            metadata=_with_records(metadata, details, run.result()),
            registry=registries.of(reference),
        )
        if top:
            cache.remember(entry.model, details, top, snapshot)
        return snapshot


@dataclass(frozen=True, slots=True)
class _Registries:
    """The registries of runs and of models (often the same), connected for one reference."""

    runs: Registry
    models: Registry
    directory: Path

    @property
    def scope(self) -> str:
        """Return a key that identifies these registries."""
        return f"{self.models.where}\n{self.runs.where}"

    def of(self, reference: MlflowReference) -> str:
        """Return the address of the registry that keeps the model of a reference."""
        registered = isinstance(reference, RegisteredModelReference)
        return self.models.where if registered else self.runs.where

    def locate(self, location: str, owner: ArtifactOwner) -> Path | RemoteFolder:
        """Return the folder of artifacts that a URI names."""
        server = self.runs if isinstance(self.runs, RestRegistry) else None
        return locate(location, registry=server, owner=owner, directory=self.directory)


@contextmanager
def _connect(context: ResolveContext) -> Iterator[_Registries]:
    tracking = tracking_address(context.environment, context.directory)
    registered = registry_address(context.environment, context.directory)
    with ExitStack() as stack:
        runs = connect(tracking)
        stack.callback(runs.close)
        models = runs
        if registered != tracking:
            models = connect(registered)
            stack.callback(models.close)
        yield _Registries(runs, models, context.directory)


@dataclass(frozen=True, slots=True)
class _Fetching:
    """Fetches the files of one model into the store."""

    model: PinnedModel
    details: Details
    context: ResolveContext
    runs: Registry
    entry: str

    def files(self, folder: Path | RemoteFolder, top: Listing) -> tuple[FileEntry, ...]:
        """Store the model's files; `top` is the top level of a remote folder."""
        store, progress = self.context.store, self.context.progress
        title = f"Fetching {self.model.pinned}"
        if isinstance(folder, Path):
            paths = list_files(folder)
            self._require_model(paths)
            return take_in(paths, title=title, store=store, progress=progress)
        files = folder.files(top)
        self._require_model([file.path for file in files])
        return fetch(
            files,
            identity=f"{self.model.pinned}\n{self.model.state}",
            title=title,
            server=folder.registry.transport,
            store=store,
            progress=progress,
        )

    def _require_model(self, paths: Collection[str]) -> None:
        if self.entry in paths:
            return
        names = sorted(paths)
        has = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        logged = self.details.logged
        raise ClocheError(
            "source.mlflow.nomodel",
            f"{self.model.pinned} has no MLflow model: it holds {has or 'nothing'}.",
            where=self.runs.where,
            hint=f"The run logged {', '.join(logged)}."
            if logged
            else "Name a model that was logged with MLflow (mlflow.<flavor>.log_model).",
        )


def _with_records(metadata: ModelMetadata, details: Details, run: Run | None) -> ModelMetadata:
    """Return the metadata completed from the registry; the model's own records win."""
    model = details.model
    tags = {**(run.tags if run else {}), **(model.tags if model else {}), **details.tags}
    return replace(
        metadata,
        parameters={**(run.parameters if run else {}), **(model.parameters if model else {})},
        metrics={**(run.metrics if run else {}), **(model.metrics if model else {})},
        tags={
            **metadata.tags,
            **{key: text for key, text in tags.items() if not key.startswith("mlflow.")},
        },
        run_id=details.run_id or metadata.run_id,
        experiment_id=run.experiment_id if run else None,
    )
