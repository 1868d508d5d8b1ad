"""The values that the stages hand to each other, in the order of the pipeline.

    ModelReference → ModelSnapshot → ModelFacts → ModelRepository → Revision → Verification

All are frozen and serialise to JSON with `encode` and back with `decode`. A value that names bytes
carries their digest, written `sha256:<64 hex digits>`. Paths are not part of these values: where
bytes stand on disk is the store's business, so that the same value means the same on any machine.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


# ── source ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a tree: its path relative to the tree's root (POSIX), size in bytes, digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model, as its own format describes it.

    `datatype` is Triton's name (`FP32`, `INT64`, `BYTES` …). `shape` is the whole shape with the
    batch axis in it; -1 is a size known only per request, and `()` is a scalar. `labels` holds the
    symbolic names of dynamic axes where the format gives them (`"batch"`, `None` …).
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    labels: tuple[str | None, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a registry recorded about a model's inputs and outputs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    columns: bool = False
    """True when the inputs are columns of one table (MLflow's ColSpec), False for tensors."""
    unnamed: tuple[str, ...] = ()
    """Names that Cloche made up because the registry recorded none."""


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What came along with the bytes of a model; empty where the source has nothing to say."""

    signature: Signature | None = None
    input_example: str | None = None
    """Path of the example inside the snapshot."""
    requirements: tuple[str, ...] = ()
    python: str | None = None
    """The Python version that the model was saved with, such as `3.11.7`."""
    flavors: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    run_id: str | None = None


class ModelFormat(enum.StrEnum):
    """What the files of a snapshot look like."""

    ONNX = "onnx"
    MLFLOW = "mlflow"
    """A folder with an MLmodel file."""
    TRITON = "triton"
    """A finished Triton model repository."""


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A model resolved once: its files by digest, and what its source knows of it.

    `digest` is that of the sorted list of files, and so of the bytes alone. `reference` is what was
    written (`models:/digits@champion`), `pinned` what it was resolved to (`models:/digits/3`, an
    absolute path), `version` the registry's own number where there is one.
    """

    reference: str
    pinned: str
    source: str
    """`files` or `mlflow`."""
    version: str | None
    digest: str
    format: ModelFormat
    files: tuple[FileEntry, ...]
    entry: str
    """The file that stands for the model (`model.onnx`, `MLmodel`), or `.` for the whole folder."""
    metadata: ModelMetadata = field(default_factory=ModelMetadata)

    @property
    def size(self) -> int:
        """Return the size of all files in bytes."""
        return sum(entry.size for entry in self.files)


# ── inspection ────────────────────────────────────────────────────────────────────────────────


class Certainty(enum.StrEnum):
    """How sure an inspection is of what it says."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BatchAxis:
    """Whether requests can be joined along axis 0, and why that is believed."""

    present: bool
    certainty: Certainty
    why: str
    maximum: int | None = None
    """The size where the axis is fixed (an exported batch of 8), None where it is free."""


class Severity(enum.StrEnum):
    """What a finding asks of the reader."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth telling the user about a model or a repository."""

    severity: Severity
    code: str
    what: str
    where: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What inspection found in a snapshot, without running the model."""

    format: ModelFormat
    framework: str
    """What made the model, such as `onnx (pytorch 2.9)` or `sklearn`."""
    backend: str
    """The Triton backend that serves it: `onnxruntime` or `python`."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: BatchAxis
    size_bytes: int
    memory_bytes: int | None
    """Estimate of the resident memory of one instance: weights and the largest activations."""
    opsets: dict[str, int] = field(default_factory=dict)
    operators: dict[str, int] = field(default_factory=dict)
    """How often each operator occurs, by `Domain.Name`."""
    unsupported_operators: tuple[str, ...] = ()
    python: str | None = None
    """`3.11`: the interpreter that a Python model needs."""
    requirements: tuple[str, ...] = ()
    columns: bool = False
    """True when the inputs are the columns of one table."""
    findings: tuple[Finding, ...] = ()


# ── environment ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Lock:
    """A model's own dependencies, resolved once: pinned, hashed lines and the Python they are for.

    `digest` is that of `python` and `text`, and so names an environment on any machine.
    """

    digest: str
    python: str
    """`3.11`"""
    text: str


# ── repository ────────────────────────────────────────────────────────────────────────────────


class Origin(enum.StrEnum):
    """Where a generated value comes from."""

    MODEL = "model"
    SPEC = "spec"
    MEASURED = "measured"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one field of a generated configuration has its value."""

    field: str
    """Path of the field in ModelConfig, such as `dynamic_batching.max_queue_delay_microseconds`."""
    value: str
    origin: Origin
    why: str


@dataclass(frozen=True, slots=True)
class ModelRepository:
    """A finished Triton model repository: the same bytes on a laptop, in an image, in a cluster.

    `inputs` and `outputs` are what a client sends and gets, the batch axis included as -1.
    """

    service: str
    digest: str
    files: tuple[FileEntry, ...]
    models: tuple[str, ...]
    """The names of the models in it; the first is the one that answers for the service."""
    backend: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    lock_digest: str | None = None
    reasons: tuple[Reason, ...] = ()
    findings: tuple[Finding, ...] = ()


# ── verification ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class InferenceBody:
    """A request or an answer of the KServe v2 protocol, kept exactly as it goes over HTTP.

    `digest` names the bytes in the store; the first `header_length` of them are JSON and the rest
    binary tensor data (the header `Inference-Header-Content-Length`); None: all of it is JSON.
    """

    digest: str
    header_length: int | None


class GoldenKind(enum.StrEnum):
    """What a golden request can prove."""

    EXAMPLE = "example"
    """The model's own input example, against a direct run of the model."""
    GENERATED = "generated"
    """Inputs made from the signature, against a direct run of the model."""
    SMOKE = "smoke"
    """No reference: the answer has the right names, types and shapes and is finite."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A request whose right answer is known; `expected` is None for a smoke test."""

    kind: GoldenKind
    request: InferenceBody
    expected: InferenceBody | None


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """How far one output was from what was expected."""

    name: str
    datatype: str
    elements: int
    mismatched: int
    max_absolute: float | None
    max_relative: float | None
    absolute_tolerance: float
    relative_tolerance: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of a golden request."""

    passed: bool
    kind: GoldenKind
    outputs: tuple[TensorDifference, ...]
    duration_ms: float
    at: str
    """UTC, ISO 8601."""
    url: str
    detail: str | None = None
    """What went wrong, as a sentence; None when it passed."""


# ── revision ──────────────────────────────────────────────────────────────────────────────────


class Phase(enum.StrEnum):
    """Where a revision stands; the rollout's state machine is in `cloche.rollout.phases`."""

    PENDING = "pending"
    STARTING = "starting"
    VERIFYING = "verifying"
    SHIFTING = "shifting"
    LIVE = "live"
    RETIRED = "retired"
    """It was live; a later revision is now."""
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """A later deploy took over before this one was live."""

    @property
    def ended(self) -> bool:
        """Return whether a rollout has nothing more to do for the revision."""
        return self in {Phase.LIVE, Phase.RETIRED, Phase.FAILED, Phase.SUPERSEDED}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deploy hands to the control plane: everything resolved, built and in the store."""

    service: str
    snapshot: ModelSnapshot
    facts: ModelFacts
    repository: ModelRepository
    lock: Lock | None
    served: dict[str, Any]
    """The part of the spec that makes a revision."""
    operated: dict[str, Any]
    """The part of the spec that changes in place (`{"replicas": 2}`)."""
    by: str = ""
    """Who asked, as `user@host`."""

    @property
    def digest(self) -> str:
        """Return the digest of the revision this makes: the same one means nothing to do."""
        lock = self.lock.digest if self.lock else None
        return digest_of(encode([self.snapshot.digest, lock, self.served, self.repository.digest]))


@dataclass(frozen=True, slots=True)
class Revision:
    """An immutable, numbered state of what is served, and what has become of it.

    `digest` is that of the model digest, the lock digest, the served part of the spec and the
    repository digest. `phase`, `verification` and `failure` are attached as they come to be.
    """

    service: str
    number: int
    digest: str
    deployment: Deployment
    created_at: str
    phase: Phase
    phase_since: str
    golden: Golden | None = None
    verification: Verification | None = None
    failure: dict[str, Any] | None = None
    """The error object of a failed revision, as `ClocheError.to_dict` makes it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a service, with who and why."""

    sequence: int
    at: str
    service: str
    revision: int | None
    kind: str
    """`deployed`, `phase`, `scaled`, `replica`, `verified`, `deleted` …"""
    what: str
    by: str
    detail: dict[str, Any] = field(default_factory=dict)


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────


def encode(value: object) -> bytes:
    """Return the canonical JSON of an artefact: sorted keys, no spaces, UTF-8."""
    import msgspec

    return msgspec.json.encode(value, order="sorted")


def to_builtins(value: object) -> Any:
    """Return an artefact as dicts, lists, strings and numbers."""
    import msgspec

    return msgspec.to_builtins(value)


def decode(kind: type[T], data: bytes | str) -> T:
    """Read an artefact back from `encode`'s JSON; raises msgspec.ValidationError if it is none."""
    import msgspec

    return msgspec.json.decode(data, type=kind)


def convert(kind: type[T], value: Any) -> T:
    """Read an artefact back from `to_builtins`'s value."""
    import msgspec

    return msgspec.convert(value, type=kind)


def digest_of(data: bytes) -> str:
    """Return `sha256:<hex>` of some bytes."""
    import hashlib

    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of_files(files: tuple[FileEntry, ...]) -> str:
    """Return the digest of a tree: that of its sorted `digest size path` lines."""
    lines = sorted(f"{entry.digest} {entry.size} {entry.path}\n" for entry in files)
    return digest_of("".join(lines).encode())
