"""A golden request, what judges its answer, and the outcome of sending it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InferenceBody:
    """A request or an answer of the KServe v2 protocol, byte for byte as sent over HTTP.

    `digest` names the bytes in the store. The first `header_length` bytes are JSON, the rest is
    binary tensor data (the header `Inference-Header-Content-Length`); None if all of it is JSON.
    """

    digest: str
    header_length: int | None


class RequestOrigin(enum.StrEnum):
    """Where a golden request comes from."""

    GIVEN = "given"
    """The user's example."""
    STORED = "stored"
    """The model's own example, stored with it."""
    MADE = "made"
    """Made from what the model declares."""


class Judge(enum.StrEnum):
    """What an answer is compared with; the strongest first."""

    EXPECTED = "expected"
    """Values that the user gave."""
    REFERENCE = "reference"
    """The answer of the model's own framework."""
    TYPES = "types"
    """Types, shapes and finite values: the framework does not give the same answer twice."""
    SMOKE = "smoke"
    """Types and shapes: nothing else can answer for the model, or its answer proves nothing."""
    NONE = "none"
    """No request is known that the model accepts; the server refuses the same ones."""

    @property
    def compares(self) -> bool:
        """Return whether values are compared."""
        return self in {Judge.EXPECTED, Judge.REFERENCE}

    def weaker_than(self, other: Judge) -> bool:
        """Return whether another judge proves more."""
        return _STRENGTH[self] > _STRENGTH[other]


_STRENGTH = {judge: place for place, judge in enumerate(Judge)}


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden request of a revision and what judges its answer.

    `requests` has one request, and `expected` its right answer, if something judges values. Without
    a reference (`smoke`) the requests are tried in turn until the server accepts one. With the
    judge `none` the server has to refuse them all.
    """

    origin: RequestOrigin
    judge: Judge
    requests: tuple[InferenceBody, ...]
    expected: InferenceBody | None = None
    why: str | None = None
    """Why nothing stronger judges, as a sentence; None for `expected` and `reference`."""
    noise: dict[str, float | None] = field(default_factory=dict)
    """By output: how far the reference's own answers differ, as a fraction of the output's largest
    magnitude; None where they differ in more than rounding. Empty if it was not measured."""
    answer_from: str | None = None
    """The image that the right answer came with; None where it was found on this machine."""

    def bodies(self) -> tuple[InferenceBody, ...]:
        """Return the bodies that must be in the store to send and judge the request."""
        return self.requests if self.expected is None else (*self.requests, self.expected)


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
    nonfinite: int = 0
    """Elements of the answer that are NaN or infinite."""
    by: Judge | None = None
    """What judged this output, where that is not what judged the whole answer."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of a golden request."""

    passed: bool
    origin: RequestOrigin
    judge: Judge
    outputs: tuple[TensorDifference, ...]
    duration_ms: float
    at: str
    """UTC, ISO 8601."""
    url: str
    detail: str | None = None
    """What went wrong, as a sentence; None when it passed."""
    why: str | None = None
    """Why nothing stronger judged, as a sentence."""
    answer_from: str | None = None
    """The image that the right answer came with; None where it was found on this machine."""

    @property
    def nonfinite(self) -> tuple[str, ...]:
        """Return the outputs with elements that are NaN or infinite."""
        return tuple(output.name for output in self.outputs if output.nonfinite)
