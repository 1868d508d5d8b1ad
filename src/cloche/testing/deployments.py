"""A deployment of a model that does not exist, with its golden request and outcome."""

from __future__ import annotations

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Deployment,
    FileEntry,
    Golden,
    InferenceBody,
    Judge,
    Member,
    ModelFacts,
    ModelFormat,
    ModelRepository,
    ModelSnapshot,
    Operated,
    ReplicaRange,
    RepositoryMember,
    RequestOrigin,
    Served,
    TensorSpec,
    Verification,
    digest_of,
    digest_of_files,
)
from cloche.testing.clock import START

_QUESTION, _ANSWER = (InferenceBody(digest_of(word), 8) for word in (b"question", b"answer"))
GOLDEN = Golden(RequestOrigin.MADE, Judge.REFERENCE, (_QUESTION,), _ANSWER)
_TENSOR = TensorSpec("x", "FP32", (-1, 4))


def deployment(
    service: str = "digits", model: str = "a", replicas: int | None = 1, *, derived: bool = False
) -> Deployment:
    """Return a deployment of a model whose bytes are `model` and whose reference is `./MODEL.onnx`.

    None leaves the number of replicas unset; `derived` says that nobody wrote the service's name.
    """
    facts = ModelFacts(
        format=ModelFormat.ONNX,
        framework="onnx",
        backend="onnxruntime",
        inputs=(_TENSOR,),
        outputs=(_TENSOR,),
        batch=BatchAxis(True, Certainty.CERTAIN, "it is dynamic"),
        size_bytes=1,
        memory_bytes=None,
    )
    replica_range = None if replicas is None else ReplicaRange.exactly(replicas)
    return Deployment(
        service=service,
        members=(Member(service, _snapshot(model), facts),),
        repository=_repository(service, model),
        served=Served(instances=1),
        operated=Operated(replicas=replica_range),
        golden=GOLDEN,
        name_is_derived=derived,
    )


def _snapshot(model: str) -> ModelSnapshot:
    files = (FileEntry("model.onnx", 1, digest_of(model.encode())),)
    return ModelSnapshot(
        reference=f"./{model}.onnx",
        pinned=f"/models/{model}.onnx",
        source="files",
        version=None,
        digest=digest_of_files(files),
        format=ModelFormat.ONNX,
        files=files,
        entry="model.onnx",
    )


def _repository(service: str, model: str) -> ModelRepository:
    files = (FileEntry(f"{service}/1/model.onnx", 1, digest_of(model.encode())),)
    return ModelRepository(
        service=service,
        digest=digest_of_files(files),
        files=files,
        members=(RepositoryMember(service, "onnxruntime", (_TENSOR,), (_TENSOR,), 8),),
    )


def verification(*, passed: bool = True, judge: Judge = Judge.REFERENCE) -> Verification:
    """Return the outcome of a golden request."""
    return Verification(
        passed=passed,
        origin=RequestOrigin.MADE,
        judge=judge,
        outputs=(),
        duration_ms=1.5,
        at=START.isoformat(),
        url="http://127.0.0.1:1",
        detail=None if passed else "y differs by 0.5",
    )
