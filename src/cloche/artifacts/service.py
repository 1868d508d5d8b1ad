"""How a service is served, which makes a revision, and how it is operated, which changes in place.

Every value is optional: None means that it was not asked for. The defaults and bounds of what is
operated are here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

MOST_REPLICAS = 1000
DEFAULT_REPLICAS = 1
DEFAULT_START_TIMEOUT = 600.0
"""Seconds from the start of a server until its model is loaded."""
SHORTEST_START_TIMEOUT = 1.0
DEFAULT_KEEP = 10
"""How many revisions of a service can be brought back."""
MOST_KEPT = 100


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests are joined into batches, and how many may wait; durations in microseconds."""

    max_batch_size: int | None = None
    max_queue_delay: int | None = None
    preferred_batch_sizes: tuple[int, ...] | None = None
    max_queue_size: int | None = None
    queue_timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica gets: processors, and memory in bytes."""

    cpu: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Settings of the inference server that have no word of their own."""

    parameters: dict[str, str] = field(default_factory=dict)
    warmup: bool | None = None
    graph_optimization: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """The part of a spec that changes what is served, and so makes a revision."""

    batching: Batching = field(default_factory=Batching)
    instances: int | None = None
    resources: Resources = field(default_factory=Resources)
    server: ServerOptions = field(default_factory=ServerOptions)


@dataclass(frozen=True, slots=True)
class ReplicaRange:
    """How many replicas run: a number (`minimum == maximum`) or a range to scale within."""

    minimum: int
    maximum: int

    @classmethod
    def exactly(cls, count: int) -> ReplicaRange:
        """Return the range that is one number."""
        return cls(count, count)

    @property
    def fixed(self) -> bool:
        """Return whether the range is one number."""
        return self.minimum == self.maximum


@dataclass(frozen=True, slots=True)
class Operated:
    """The part of a spec that only operates a service: it changes with no new revision."""

    replicas: ReplicaRange | None = None
    start_timeout: float | None = None
    """Seconds that a replica may take until it is ready, and the direct run of its model."""
    keep: int | None = None
    """How many revisions can be brought back."""

    def over(self, before: Operated) -> Operated:
        """Return what is asked for here, and `before` for what is not."""
        asked = {
            name: value
            for name in (field.name for field in fields(self))
            if (value := getattr(self, name)) is not None
        }
        return replace(before, **asked)

    @property
    def replica_range(self) -> ReplicaRange:
        """Return the range of replicas, or the default."""
        return self.replicas or ReplicaRange.exactly(DEFAULT_REPLICAS)

    @property
    def start_limit(self) -> float:
        """Return the seconds that a start may take, or the default."""
        return DEFAULT_START_TIMEOUT if self.start_timeout is None else self.start_timeout

    @property
    def kept(self) -> int:
        """Return how many revisions can be brought back, or the default."""
        return DEFAULT_KEEP if self.keep is None else self.keep


def asked_for(value: Any) -> Any:
    """Return a value as dicts and lists without what was not asked for (None, empty parts).

    A field that a later version adds is then no difference to what was recorded before it.
    """
    from cloche.artifacts.encoding import to_builtins

    return _without_nothing(to_builtins(value))


def _without_nothing(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, dict):
        return value
    pruned = {key: _without_nothing(item) for key, item in value.items()}
    return {key: item for key, item in pruned.items() if item is not None and item != {}}
