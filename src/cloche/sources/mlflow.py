"""Models of an MLflow registry: resolved once, pinned by version and digest.

What a version was resolved to is remembered with what the registry said of it. As long as it says
the same, and now and then when asked lists the same files, the model is answered from the store.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, ModelFormat, ModelMetadata, ModelSnapshot
from cloche.clients.mlflow import RestRegistry, connect, registry_address, tracking_address
from cloche.errors import ClocheError
from cloche.sources.downloads import Patience, fetch
from cloche.sources.files import take_in
from cloche.sources.folders import list_files
from cloche.sources.locations import Behind, Level, RemoteFolder, locate
from cloche.sources.memory import Memory
from cloche.sources.mlmodel import remembered_metadata
from cloche.sources.naming import Naming

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cloche.clients.mlflow import Registry, Run
    from cloche.progress import Progress
    from cloche.sources.naming import Details, MlflowReference, Named
    from cloche.store import Store


def resolve_mlflow(
    reference: MlflowReference,
    *,
    directory: Path,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
    patience: Patience | None = None,
) -> ModelSnapshot:
    """Resolve a reference of MLflow, with its model in the store."""
    tracking = tracking_address(environment, directory)
    registered = registry_address(environment, directory)
    with ExitStack() as stack:
        runs = connect(tracking)
        stack.callback(runs.close)
        models = runs if registered == tracking else connect(registered)
        stack.callback(models.close)
        beside = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="cloche-mlflow"))

        def find(location: str, behind: Behind) -> Path | RemoteFolder:
            server = runs if isinstance(runs, RestRegistry) else None
            return locate(location, registry=server, behind=behind, directory=directory)

        memory = Memory(store, f"{models.where}\n{runs.where}", find)
        naming = Naming(runs, models)
        named = naming.name(reference)
        known = memory.unchanged(named)
        if known is not None:
            return replace(known, reference=reference.text)
        details = named.details()
        run = beside.submit(naming.run, details.run_id)
        taking = _Taking(named, details, store, progress)
        folder = find(details.location, details.behind)
        top = folder.top() if isinstance(folder, RemoteFolder) else []
        entries = taking.take(folder, top, runs, patience)
        snapshot = taking.snapshot(reference.text, entries, run.result())
        if top:
            memory.remember(named, details, top, snapshot)
        return snapshot


class _Taking:
    """Bringing the files of one model into the store."""

    def __init__(self, named: Named, details: Details, store: Store, progress: Progress) -> None:
        self._named = named
        self._details = details
        self._store = store
        self._progress = progress

    def take(
        self, folder: Path | RemoteFolder, top: Level, runs: Registry, patience: Patience | None
    ) -> tuple[FileEntry, ...]:
        """Return the model's files, stored."""
        title = f"Fetching {self._named.pinned}"
        if isinstance(folder, Path):
            paths = list_files(folder)
            self._require_model(paths, runs)
            return take_in(paths, title=title, store=self._store, progress=self._progress)
        files = folder.files(top)
        self._require_model([file.path for file in files], runs)
        return fetch(
            files,
            identity=f"{self._named.pinned}\n{self._named.state}",
            title=title,
            server=folder.registry.transport,
            store=self._store,
            progress=self._progress,
            patience=patience,
        )

    def snapshot(
        self, reference: str, entries: tuple[FileEntry, ...], run: Run | None
    ) -> ModelSnapshot:
        """Return the snapshot of stored files, with what the registry knows of the model."""
        digest = self._store.put_tree(entries, label=self._named.pinned)
        metadata = remembered_metadata(self._store, digest)
        return ModelSnapshot(
            reference=reference,
            pinned=self._named.pinned,
            source="mlflow",
            version=self._named.version,
            digest=digest,
            format=ModelFormat.MLFLOW,
            files=entries,
            entry="MLmodel",
            metadata=_with_records(metadata, self._details, run),
        )

    def _require_model(self, paths: Collection[str], runs: Registry) -> None:
        if "MLmodel" in paths:
            return
        names = sorted(paths)
        has = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
        logged = self._details.logged
        raise ClocheError(
            "source.mlflow.nomodel",
            f"There is no MLflow model at {self._named.pinned}: {has or 'nothing'} is there.",
            where=runs.where,
            hint=f"The run logged {', '.join(logged)}."
            if logged
            else "Name a model that was logged with MLflow (mlflow.<flavor>.log_model).",
        )


def _with_records(metadata: ModelMetadata, details: Details, run: Run | None) -> ModelMetadata:
    """Return the metadata with what the registry knows; the model's own records win."""
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
    )
