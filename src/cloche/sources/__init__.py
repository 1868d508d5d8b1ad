"""Where models come from: what a user writes, resolved once to a snapshot in the store.

parse("models:/digits@champion", directory=cwd)   → ModelReference
resolve("models:/digits@champion", …)             → ModelSnapshot
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.sources.reference import (
    FileReference,
    LoggedModelReference,
    ModelReference,
    RegisteredModelReference,
    RunReference,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.artifacts import ModelSnapshot
    from cloche.progress import Progress
    from cloche.store import Store

__all__ = [
    "FileReference",
    "LoggedModelReference",
    "ModelReference",
    "RegisteredModelReference",
    "RunReference",
    "parse",
    "resolve",
]


def resolve(
    text: str,
    *,
    directory: Path,
    store: Store,
    progress: Progress,
    environment: Mapping[str, str],
) -> ModelSnapshot:
    """Resolve a reference; the files of the snapshot are in the store, under its digest.

    `directory` is where relative paths begin; `environment` holds MLflow's variables. Raises
    UsageError for a reference that cannot be right, UnavailableError for a registry that does not
    answer, and ClocheError (`source.…`, `mlflow.…`, `store.…`) for everything else.
    """
    reference = parse(text, directory=directory)
    with store.working():
        if isinstance(reference, FileReference):
            from cloche.sources.files import resolve_files

            return resolve_files(reference, store=store, progress=progress)
        from cloche.sources.mlflow import resolve_mlflow

        return resolve_mlflow(
            reference, directory=directory, store=store, progress=progress, environment=environment
        )
