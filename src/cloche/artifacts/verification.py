"""A request whose right answer is known, and the outcome of sending it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InferenceBody:
    """A request or an answer of the KServe v2 protocol, byte for byte as sent over HTTP.

    `digest` names the bytes in the store. The first `header_length` bytes are JSON, the rest is
    binary tensor data (the header `Inference-Header-Content-Length`); None if all of it is JSON.
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
    """How far one output is from the expected one."""

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
