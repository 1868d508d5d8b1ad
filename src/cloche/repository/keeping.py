"""Keeping a finished Triton repository byte for byte, with its own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, ModelRepository, Origin, Reason, RepositoryMember, asked_for
from cloche.errors import UsageError
from cloche.model_config.finished import FinishedRepository, declared, read_repository
from cloche.model_config.names import CONFIG, ENSEMBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot
    from cloche.model_config.finished import FinishedModel
    from cloche.repository.backends import Backend
    from cloche.spec import ServiceSpec
    from cloche.store import Store

_PLACEHOLDER = ".keep"
_KEPT = Reason(CONFIG, "kept", Origin.MODEL, "a finished repository is kept byte for byte")


def keep(  # noqa: PLR0917 - the stages' values, in the order of the pipeline
    service: str,
    snapshot: ModelSnapshot,
    facts: ModelFacts,
    lock: Lock | None,  # noqa: ARG001 - a finished repository has its environments in it
    spec: ServiceSpec,
    store: Store,
    *,
    backends: Mapping[str, Backend],
) -> ModelRepository:
    """Keep a finished repository with these `facts` as a tree of the store.

    Raises UsageError `repository.kept` for settings that belong in its config.pbtxt, and
    `repository.ambiguous` if several models could answer for the service.
    """
    _refuse_settings(spec)
    digests = {entry.path: entry.digest for entry in snapshot.files}
    repository, _ = read_repository(tuple(digests), lambda path: store.read(digests[path]))
    main = _main_model(repository, service)
    files = _files(snapshot, repository, store.add_bytes(b""))
    return ModelRepository(
        service=service,
        digest=store.put_tree(files),
        files=files,
        members=(
            RepositoryMember(
                name=main.name,
                backend=main.backend,
                inputs=declared(main.config, "input") or facts.inputs,
                outputs=declared(main.config, "output") or facts.outputs,
                max_batch_size=_max_batch_size(main, facts, backends),
            ),
        ),
        others=repository.names(main)[1:],
        reasons=(_KEPT,),
        findings=facts.findings,
    )


def _refuse_settings(spec: ServiceSpec) -> None:
    served = asked_for(spec.served())
    keys_set = [key for key in ("batching", "instances", "server") if key in served]
    if keys_set:
        keys = " and ".join(keys_set)
        raise UsageError(
            "repository.kept",
            f"{keys} cannot be set for a finished repository, which is kept byte for byte.",
            hint=f"Change it in the model's {CONFIG}, and remove it here.",
        )


def _main_model(repository: FinishedRepository, service: str) -> FinishedModel:
    main = repository.main_model(service)
    if main is None:
        listed = ", ".join(model.name for model in repository.models)
        raise UsageError(
            "repository.ambiguous",
            f"The repository holds several models ({listed}), none named {service}.",
            hint="Name the service after the model that answers: --name NAME, or name: in the "
            "cloche.yaml.",
        )
    return main


def _max_batch_size(main: FinishedModel, facts: ModelFacts, backends: Mapping[str, Backend]) -> int:
    """Return the largest batch, configured or completed by the backend."""
    configured = int(main.config.max_batch_size)
    complete = bool(main.config.input) and bool(main.config.output)
    backend = backends.get(main.backend)
    if configured or complete or backend is None or not facts.batch.present:
        return configured
    return backend.completed_batch


def _files(
    snapshot: ModelSnapshot, repository: FinishedRepository, empty: str
) -> tuple[FileEntry, ...]:
    """Return the repository's files, with a version folder for each ensemble that lacks one.

    Triton requires the folder. It is empty, so a list of files cannot hold it; an empty file of the
    digest `empty` is put in it.
    """
    added = [
        FileEntry(f"{model.name}/{version}/{_PLACEHOLDER}", 0, empty)
        for model in repository.models
        if model.backend == ENSEMBLE and not model.versions
        for version in (model.served_versions or (1,))
    ]
    return tuple(sorted((*snapshot.files, *added), key=lambda file: file.path))
