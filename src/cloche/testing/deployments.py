"""A deployment of a model that does not exist, and what belongs to one."""

from __future__ import annotations

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Deployment,
    FileEntry,
    Golden,
    GoldenKind,
    InferenceBody,
    Member,
    ModelFacts,
    ModelFormat,
    ModelRepository,
    ModelSnapshot,
    Operated,
    ReplicaRange,
    RepositoryMember,
    Served,
    TensorSpec,
    Verification,
    digest_of,
    digest_of_files,
)
from cloche.testing.clock import START

GOLDEN = Golden(GoldenKind.GENERATED, InferenceBody(digest_of(b"question"), 8), None)


def deployment(service: str = "digits", model: str = "a", replicas: int | None = 1) -> Deployment:
    """Return a deployment whose model has `model` for its bytes; its reference is `./MODEL.onnx`.

    With `replicas` None it does not say how many should run.
    """
    tensor = TensorSpec("x", "FP32", (-1, 4))
    digest = digest_of(model.encode())
    files = (FileEntry("model.onnx", 1, digest),)
    built = (FileEntry(f"{service}/1/model.onnx", 1, digest),)
    snapshot = ModelSnapshot(
        reference=f"./{model}.onnx",
        pinned=f"/models/{model}.onnx",
        source="files",
        version=None,
        digest=digest_of_files(files),
        format=ModelFormat.ONNX,
        files=files,
        entry="model.onnx",
    )
    facts = ModelFacts(
        format=ModelFormat.ONNX,
        framework="onnx",
        backend="onnxruntime",
        inputs=(tensor,),
        outputs=(tensor,),
        batch=BatchAxis(True, Certainty.CERTAIN, "it is dynamic"),
        size_bytes=1,
        memory_bytes=None,
    )
    repository = ModelRepository(
        service=service,
        digest=digest_of_files(built),
        files=built,
        members=(RepositoryMember(service, "onnxruntime", (tensor,), (tensor,), 8),),
    )
    asked = None if replicas is None else ReplicaRange.exactly(replicas)
    return Deployment(
        service=service,
        members=(Member(service, snapshot, facts),),
        repository=repository,
        served=Served(instances=1),
        operated=Operated(replicas=asked),
    )


def verification(*, passed: bool = True) -> Verification:
    """Return the outcome of a golden request."""
    detail = None if passed else "y differs by 0.5"
    return Verification(
        passed, GoldenKind.GENERATED, (), 1.5, START.isoformat(), "http://127.0.0.1:1", detail
    )
