"""The contract that every target keeps: a named place where revisions run.

A target is told what should be (`place`, `route`, `remove`) and asked what is (`observe`). Each
call is idempotent and short; whatever takes time goes on by itself and shows in the next
observation. A target keeps running what it was told when Cloche is gone, and a new `Target` object
over the same place adopts it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cloche.artifacts import ModelRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Placement:
    """A revision and how many replicas of it should run."""

    service: str
    revision: int
    repository: ModelRepository
    replicas: int


class ReplicaPhase(enum.StrEnum):
    """Where one replica stands."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    """It runs and was ready, but does not answer its health check now."""
    RESTARTING = "restarting"
    """It ended by itself and will be started again after a delay."""
    FAILED = "failed"
    """It ended so often, or took so long to come up, that it is not started again."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Replica:
    """One running server, as a target sees it."""

    id: str
    """`NAME-r3-0`"""
    service: str
    revision: int
    phase: ReplicaPhase
    restarts: int
    since: str
    """When the phase began: UTC, ISO 8601."""
    url: str | None
    """Base URL of the replica's own HTTP endpoint, for verification; None before it has one."""
    grpc: str | None = None
    pid: int | None = None
    detail: str | None = None
    """Why it is not ready, as a sentence."""
    last_log: tuple[str, ...] = ()
    """The last lines of its log, where it failed."""


@dataclass(frozen=True, slots=True)
class Route:
    """One revision's share of a service's traffic, in percent; 0: by header only."""

    service: str
    revision: int
    weight: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a target answers requests, and whether it does."""

    ready: bool
    http: str
    """Base URL, such as `http://127.0.0.1:8080`."""
    grpc: str
    """`127.0.0.1:8080`"""
    pid: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a target sees at one moment."""

    gateway: Gateway
    replicas: tuple[Replica, ...]
    routes: tuple[Route, ...]
    """What the gateway is known to serve, not only what it was told."""


class Target(Protocol):
    """A place where revisions run; its calls may come from any thread."""

    def start(self) -> None:
        """Take over what runs in this place, and begin to keep it; comes before all other calls."""

    def close(self) -> None:
        """Stop keeping what runs; all of it runs on."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, from any thread and shortly, whenever `observe` has news."""

    def observe(self) -> Observation:
        """Return what runs and what is routed now."""

    def place(self, placement: Placement) -> None:
        """Make this many replicas of a revision run, starting or draining and stopping some.

        Raises ClocheError when it cannot begin (no port free, disk full); a replica that later
        fails shows in `observe`.
        """

    def route(self, routes: Sequence[Route]) -> None:
        """Make these the only routes of all services; endpoints follow the ready replicas.

        A revision that lost its route gets no new requests and finishes those it has.
        """

    def remove(self, service: str, revision: int) -> None:
        """Drain and stop all replicas of a revision and remove what was made for it."""

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        """Yield `(replica id, line)` of the last lines of each replica, then new ones if asked.

        While it follows, `("", "")` comes about once a second when nothing else does, so that a
        reader who has gone is noticed.
        """

    def down(self) -> None:
        """Drain and stop everything of this target, the gateway last."""
