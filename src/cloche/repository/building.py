"""Building a model repository in the store from a model, its facts and a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cloche.artifacts import FileEntry, ModelRepository, RepositoryMember
from cloche.errors import ClocheError
from cloche.model_config.names import CONFIG, LABELS_FILE
from cloche.repository.config import compose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.artifacts import Lock, ModelFacts, ModelSnapshot
    from cloche.repository.backends import Backend
    from cloche.spec import ServiceSpec
    from cloche.store import Store


class MakeRepository(Protocol):
    """Makes the repository of a model in some format."""

    def __call__(  # noqa: PLR0917 - the stages' values, in the order of the pipeline
        self,
        service: str,
        snapshot: ModelSnapshot,
        facts: ModelFacts,
        lock: Lock | None,
        spec: ServiceSpec,
        store: Store,
        *,
        backends: Mapping[str, Backend],
    ) -> ModelRepository:
        """Return the repository of a service; its files are in the store."""


def build(  # noqa: PLR0917 - the stages' values, in the order of the pipeline
    service: str,
    snapshot: ModelSnapshot,
    facts: ModelFacts,
    lock: Lock | None,
    spec: ServiceSpec,
    store: Store,
    *,
    backends: Mapping[str, Backend],
) -> ModelRepository:
    """Write the repository of a service as a tree of the store.

    The same snapshot, facts, lock and spec give the same digest on any machine: nothing in it
    depends on time, place or host. Raises ClocheError `repository.…` for what cannot be served.
    """
    backend = _backend(snapshot, facts, backends)
    model = backend.files(snapshot, facts, lock, store)
    composed = compose(service, facts, backend, spec, lock=lock, filename=model.filename)
    made = {CONFIG: composed.text, LABELS_FILE: composed.labels}
    written = [
        FileEntry(name, len(data), store.add_bytes(data))
        for name, data in made.items()
        if data is not None
    ]
    files = _in_folder(service, (*written, *model.files))
    return ModelRepository(
        service=service,
        digest=store.put_tree(files),
        files=files,
        members=(
            RepositoryMember(
                name=service,
                backend=backend.name,
                inputs=composed.tensors.inputs,
                outputs=composed.tensors.outputs,
                max_batch_size=composed.max_batch_size,
                lock_digest=lock.digest if lock else None,
            ),
        ),
        reasons=composed.reasons,
        findings=composed.findings,
    )


def _in_folder(folder: str, files: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    moved = (FileEntry(f"{folder}/{file.path}", file.size, file.digest) for file in files)
    return tuple(sorted(moved, key=lambda file: file.path))


def _backend(
    snapshot: ModelSnapshot, facts: ModelFacts, backends: Mapping[str, Backend]
) -> Backend:
    backend = backends.get(facts.backend)
    if backend is None or snapshot.format not in backend.formats:
        raise ClocheError(
            "repository.backend",
            f"No backend serves {snapshot.format} models of this kind ({facts.backend}).",
            where=snapshot.pinned,
            hint=f"The backends served are {', '.join(backends)}.",
        )
    return backend
