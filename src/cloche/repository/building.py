"""From a model, its facts and a spec to a finished model repository in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import ModelFormat, ModelRepository, Origin, Reason
from cloche.repository import finished, layout
from cloche.repository.config import compose

if TYPE_CHECKING:
    from cloche.artifacts import FileEntry, Lock, ModelFacts, ModelSnapshot
    from cloche.repository.config import Composed
    from cloche.spec import ServiceSpec
    from cloche.store import Store


def build(  # noqa: PLR0917 - the stages' values, in the order of the pipeline
    service: str,
    snapshot: ModelSnapshot,
    facts: ModelFacts,
    lock: Lock | None,
    spec: ServiceSpec,
    store: Store,
) -> ModelRepository:
    """Write the repository of a service as a tree of the store.

    The same snapshot, facts, lock and spec give the same digest on any machine: nothing in it
    depends on time, place or host. Raises ClocheError `repository.…` for what cannot be served.
    """
    if snapshot.format is ModelFormat.TRITON:
        return _keep(service, snapshot, facts, spec, store)
    if facts.backend == "onnxruntime":
        onnx = layout.onnx_files(snapshot)
        filename = None if onnx.filename == layout.DEFAULT_ONNX else onnx.filename
        composed = compose(service, facts, spec, filename=filename)
        files = layout.of_onnx(service, composed.text, onnx, store)
        return _finish(service, facts, composed, files, store)
    composed = compose(service, facts, spec, lock=lock)
    files = layout.of_mlflow(service, composed.text, snapshot, lock, store)
    return _finish(service, facts, composed, files, store, lock=lock)


def _finish(
    service: str,
    facts: ModelFacts,
    composed: Composed,
    files: tuple[FileEntry, ...],
    store: Store,
    *,
    lock: Lock | None = None,
) -> ModelRepository:
    return ModelRepository(
        service=service,
        digest=store.put_tree(files),
        files=files,
        models=(service,),
        backend=facts.backend,
        inputs=composed.tensors.inputs,
        outputs=composed.tensors.outputs,
        max_batch_size=composed.max_batch_size,
        lock_digest=lock.digest if lock else None,
        reasons=composed.reasons,
        findings=composed.findings,
    )


def _keep(
    service: str,
    snapshot: ModelSnapshot,
    facts: ModelFacts,
    spec: ServiceSpec,
    store: Store,
) -> ModelRepository:
    """Keep a finished repository byte for byte."""
    finished.refuse_settings(spec)
    digests = {entry.path: entry.digest for entry in snapshot.files}
    repository = finished.read(snapshot, lambda path: store.read(digests[path]))
    main = finished.chosen(repository, service)
    files = finished.files_of(snapshot, repository, store.add_bytes(b""))
    why = "a finished repository is kept byte for byte"
    return ModelRepository(
        service=service,
        digest=store.put_tree(files),
        files=files,
        models=repository.names(main),
        backend=main.backend,
        inputs=finished.declared(main.config, "input") or facts.inputs,
        outputs=finished.declared(main.config, "output") or facts.outputs,
        max_batch_size=finished.max_batch_size(main, facts),
        reasons=(Reason("config.pbtxt", "kept", Origin.MODEL, why),),
        findings=repository.findings,
    )
