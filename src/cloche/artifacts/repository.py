"""What a model becomes: the lock of its environment, and its repository with the reasons."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cloche.artifacts.model import FileEntry, Finding, TensorSpec


@dataclass(frozen=True, slots=True)
class Lock:
    """A model's own dependencies, resolved once: pinned, hashed lines and the Python they are for.

    `digest` is that of `python` and `text`, and so names an environment on any machine.
    """

    digest: str
    python: str
    """`3.11`"""
    text: str


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
