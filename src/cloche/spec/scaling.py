"""The section autoscale: what the number of replicas follows."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema, model_validator

from cloche import artifacts
from cloche.spec.quantities import Duration, problem
from cloche.spec.sections import Section

if TYPE_CHECKING:
    from cloche.artifacts import ReplicaRange

_MOST = 1e9
EXAMPLE = "autoscale: {requests_per_second: 100}"


def _rate(value: Any) -> float:
    hint = "Write how many requests a second one replica is to carry, such as 100."
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem(f"{value!r} is not a number", hint)
    if not (math.isfinite(value) and 0 < value <= _MOST):
        raise problem(f"{value} is not between 0 and {_MOST:.0f}", hint)
    return float(value)


def _percent(value: Any) -> float:
    hint = "Write one like 70%."
    match = (
        re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    )
    if match is None:
        raise problem(f"{value!r} is not a percentage", hint)
    if not 1 <= float(match[1]) <= 100:
        raise problem(f"{value} is not between 1% and 100%", hint)
    return float(match[1])


def plain(value: float) -> int | float:
    """Return a number without a fraction that is none: `50`."""
    return int(value) if value.is_integer() else value


def format_percent(value: float) -> str:
    """Return percent in their written form: `70%`."""
    return f"{plain(value)}%"


Rate = Annotated[
    float,
    BeforeValidator(_rate),
    PlainSerializer(plain),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": _MOST}),
]
"""Requests a second."""

Percent = Annotated[
    float,
    BeforeValidator(_percent),
    PlainSerializer(format_percent),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d+)?\s*%$", "examples": ["70%"]}),
]


class Autoscale(Section):
    """How much one replica is to carry: what is over it starts another, within `replicas`."""

    requests_per_second: Rate | None = None
    """Requests a second that one replica is to carry."""
    queue_time: Duration | None = None
    """How long a request is to wait in the server, on average."""
    gpu_utilization: Percent | None = None
    """How busy a replica's GPUs are to be, as DCGM's exporter says."""

    @model_validator(mode="after")
    def _follows_something(self) -> Autoscale:
        if not any((self.requests_per_second, self.queue_time, self.gpu_utilization)):
            raise problem("it says nothing to follow", f"Write one like {EXAMPLE}.")
        return self

    def artifact(self) -> artifacts.Autoscale:
        """Return the section as an artefact."""
        waits = self.queue_time
        return artifacts.Autoscale(
            requests_per_second=self.requests_per_second,
            queue_time=None if waits is None else waits / 1e6,
            gpu_utilization=self.gpu_utilization,
        )


def require_range(replicas: ReplicaRange, autoscale: Autoscale | None, key: str) -> None:
    """Raise a validation error unless a range and what it follows come together.

    `key` is where the two are written, such as `targets.prod.`.
    """
    if autoscale is not None and replicas.fixed:
        what = f"{key}autoscale means nothing with a fixed number of replicas"
        raise problem(what, f"Write a range: {key}replicas: {{min: 2, max: 10}}.")
    if autoscale is None and not replicas.fixed:
        raise problem(
            f"{key}replicas is a range, and nothing says what the number follows",
            f"Write a number, or {EXAMPLE}.",
        )
    if replicas.minimum < 1:
        raise problem(
            f"{key}replicas.min is 0, and nothing holds requests while no replica runs",
            "Write min: 1 or more.",
        )
