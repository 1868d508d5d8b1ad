"""Keeping a finished Triton repository byte for byte, with its own names.

One thing is added: a Python model with a requirements.txt and no environment gets its lock, and the
parameter that names the environment made from it, as a line after those of its config.pbtxt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.artifacts import (
    ENVIRONMENT_PARAMETER,
    FileEntry,
    ModelRepository,
    Origin,
    Reason,
    RepositoryMember,
    asked_for,
)
from cloche.errors import UsageError
from cloche.model_config.finished import FinishedRepository, declared, read_repository
from cloche.model_config.names import CONFIG, ENSEMBLE, LOCK_FILE, OWN_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot
    from cloche.model_config.finished import FinishedModel
    from cloche.repository.backends import Backend
    from cloche.spec import ServiceSpec
    from cloche.store import Store

_IDLE_MICROSECONDS = 1_000_000  # default of max_sequence_idle_microseconds
_PLACEHOLDER = ".keep"
_NO_CONFIG = b'backend: "python"\n'
"""What Triton completes for a Python model without a config.pbtxt."""
_KEPT = Reason(CONFIG, "kept", Origin.MODEL, "a finished repository is kept byte for byte")


def keep(  # noqa: PLR0917 - the stages' values, in the order of the pipeline
    service: str,
    snapshot: ModelSnapshot,
    facts: ModelFacts,
    lock: Lock | None,
    spec: ServiceSpec,
    store: Store,
    *,
    backends: Mapping[str, Backend],
) -> ModelRepository:
    """Keep a finished repository with these `facts` as a tree of the store.

    `lock` is that of its Python models with a requirements.txt, if there are any.
    Raises UsageError `repository.kept` for settings that belong in its config.pbtxt, and
    `repository.ambiguous` if several models could answer for the service.
    """
    _refuse_settings(spec)
    digests = {entry.path: entry.digest for entry in snapshot.files}
    repository, _ = read_repository(tuple(digests), lambda path: store.read(digests[path]))
    main = _main_model(repository, service)
    added = dict(_version_folders(repository, store))
    reasons: list[Reason] = []
    if lock is not None:
        environments, reasons = _environments(repository, lock, digests, store)
        added |= environments
    files = _files(snapshot, added)
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
                lock_digest=lock.digest if lock else None,
                sequence_idle=_sequence_idle(repository, main),
                decoupled=bool(main.config.model_transaction_policy.decoupled),
            ),
        ),
        others=repository.names(main)[1:],
        gpu_models=tuple(model.name for model in repository.models if model.needs_gpu),
        reasons=(_KEPT, *reasons),
        findings=facts.findings,
    )


def _sequence_idle(repository: FinishedRepository, main: FinishedModel) -> float | None:
    """Return the longest idle time of a sequence of the models that answer; None without any."""
    names = set(repository.names(main))
    sequences = [
        model.config.sequence_batching.max_sequence_idle_microseconds or _IDLE_MICROSECONDS
        for model in repository.models
        if model.name in names and model.config.HasField("sequence_batching")
    ]
    return max(sequences) / 1e6 if sequences else None


def _refuse_settings(spec: ServiceSpec) -> None:
    own = spec.served()
    # The release of the server is no part of the repository.
    served = asked_for(replace(own, server=replace(own.server, release=None)))
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


def _files(snapshot: ModelSnapshot, added: Mapping[str, FileEntry]) -> tuple[FileEntry, ...]:
    """Return the repository's files, with those that are added or take the place of one."""
    kept = (file for file in snapshot.files if file.path not in added)
    return tuple(sorted((*kept, *added.values()), key=lambda file: file.path))


def _version_folders(
    repository: FinishedRepository, store: Store
) -> Iterator[tuple[str, FileEntry]]:
    """Yield a file in a version folder for each ensemble that lacks one.

    Triton requires the folder. It is empty, so a list of files cannot hold it; an empty file is put
    in it.
    """
    for model in repository.models:
        if model.backend == ENSEMBLE and not model.versions:
            for version in model.served_versions or (1,):
                yield _written(f"{model.name}/{version}/{_PLACEHOLDER}", b"", store)


def _environments(
    repository: FinishedRepository, lock: Lock, digests: Mapping[str, str], store: Store
) -> tuple[dict[str, FileEntry], list[Reason]]:
    """Return the files that give an environment to the models with requirements, and why."""
    files: dict[str, FileEntry] = {}
    reasons = []
    for model in repository.models:
        if not model.gets_environment:
            continue
        text = f"# python {lock.python}\n{lock.text}".encode()
        files |= [_written(f"{model.name}/{LOCK_FILE}", text, store)]
        if model.environment is None:
            before = store.read(digests[model.where]) if model.where in digests else _NO_CONFIG
            files |= [_written(model.where, _with_environment(before), store)]
            of = next(iter(model.requirement_files), model.backend)
            why = f"{of} of {model.name}, locked for Python {lock.python}"
            field = f"{model.name}: parameters.{ENVIRONMENT_PARAMETER}"
            reasons.append(Reason(field, OWN_ENVIRONMENT, Origin.MODEL, why))
    return files, reasons


def _with_environment(config: bytes) -> bytes:
    """Return a config.pbtxt with one line more; fields may come in any order, and maps in parts."""
    value = f'value {{ string_value: "{OWN_ENVIRONMENT}" }}'
    line = f'parameters {{ key: "{ENVIRONMENT_PARAMETER}" {value} }}\n'
    return config + (b"" if config.endswith(b"\n") else b"\n") + line.encode()


def _written(path: str, data: bytes, store: Store) -> tuple[str, FileEntry]:
    return path, FileEntry(path, len(data), store.add_bytes(data))
