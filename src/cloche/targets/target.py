"""The contract that every target keeps: a named place where services run.

A target is told what one whole service should be (`apply`) and asked what it is (`observe`). Both
are short and can be repeated: `apply` compares what is wanted with what there is, so it writes
nothing where nothing differs, and what takes time goes on by itself and shows in the next
observation. A target keeps running what it was told when Cloche is gone, and a new `Target` object
over the same place adopts it. It never touches a service that it was not told of.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cloche.artifacts import Lock, ModelRepository, Operated, ReplicaRange, Resources
from cloche.errors import ErrorGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cloche.errors import ClocheError


@dataclass(frozen=True, slots=True)
class Placement:
    """A revision that should run."""

    service: str
    revision: int
    repository: ModelRepository
    replicas: ReplicaRange
    start_limit: float
    """Seconds that a replica may take until it is ready."""
    resources: Resources = field(default_factory=Resources)
    lock: Lock | None = None
    """The model's own dependencies, where it has some."""
    image: str | None = None
    """Digest of its image, for targets that run images."""


@dataclass(frozen=True, slots=True)
class Desired:
    """One whole service as it should be; a revision that is not placed drains and goes."""

    service: str
    placements: tuple[Placement, ...] = ()
    split: Mapping[int, int] = field(default_factory=dict)
    """Percent of the traffic by revision; 0 is a revision that is reached by header only."""
    operated: Operated = field(default_factory=Operated)


class ReplicaPhase(enum.StrEnum):
    """How far one replica is."""

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
    """Base URL of the replica's own HTTP endpoint, where that can be reached from here."""
    grpc: str | None = None
    pid: int | None = None
    """Its process, where it is one of this machine."""
    detail: str | None = None
    """Why it is not ready, as a sentence."""
    last_log: tuple[str, ...] = ()
    """The last lines of its log, where it failed."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The address that all services of a target share, and whether it answers."""

    ready: bool
    http: str
    """Base URL, such as `http://127.0.0.1:8080`."""
    grpc: str
    """`127.0.0.1:8080`"""
    pid: int | None = None
    detail: str | None = None
    """Why it is not ready, as a sentence."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service answers."""

    http: str
    """Base URL; a request goes to `{http}/v2/models/MODEL/infer`."""
    grpc: str
    ready: bool
    """Whether what answers there is up; not whether the service has a replica."""
    detail: str | None = None
    """Why it is not, as a sentence."""
    log: str | None = None
    """Where its own log is, as a person would look for it."""


@dataclass(frozen=True, slots=True)
class ServiceObservation:
    """What a target sees of one service at one moment."""

    service: str
    endpoint: Endpoint
    split: Mapping[int, int]
    """Percent by revision that the gateway is known to serve, not only what it was told."""
    replicas: tuple[Replica, ...]

    @property
    def empty(self) -> bool:
        """Return whether nothing of the service runs or is routed."""
        return not self.replicas and not self.split


@dataclass(frozen=True, slots=True)
class TargetChange:
    """One thing that `apply` would do."""

    revision: int | None
    what: str
    """`start 2 replicas`"""


class ApplyError(ErrorGroup):
    """What of a service could not be applied; everything else of it was."""

    def __init__(self, service: str, errors: Mapping[int | None, ClocheError]) -> None:
        """Collect errors by revision; None is for what concerns the service as a whole."""
        what = f"{service} could not be brought to what it should be."
        super().__init__("target.apply", what, tuple(errors.values()))
        self.by_revision = dict(errors)


class Target(Protocol):
    """A place where services run; calls may come from any thread."""

    def admit(self, desired: Desired) -> None:
        """Raise ClocheError where this target could never serve what is desired.

        Also where something that it needs is no longer in reach: files, an environment, an image.
        Nothing is changed.
        """

    def apply(self, desired: Desired) -> None:
        """Bring one service towards what is desired, starting, draining and stopping.

        Raises ApplyError for what cannot be begun (files gone, disk full), after the rest was; a
        replica that later fails shows in `observe`. A revision that lost its share of the traffic
        gets no new requests and finishes those that it has.
        """

    def diff(self, desired: Desired) -> tuple[TargetChange, ...]:
        """Return what `apply` would do now; nothing where it would write nothing."""

    def observe(self, service: str) -> ServiceObservation:
        """Return what runs and what is routed of a service now, whether it was told of or not."""

    def gateway(self) -> Gateway | None:
        """Return the address that all services share; None where each has its own."""

    def reach(
        self, service: str, revision: int, replica: str | None = None
    ) -> AbstractContextManager[str]:
        """Yield the base URL of a ready replica, which answers for as long as the block lasts.

        One that is to go meanwhile waits for the end of the block as for a request that it has.
        Raises UnavailableError `target.unreachable` where no replica (or not the named one) is
        ready.
        """

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        """Yield `(replica id, line)` of the last lines of each replica, then new ones if asked.

        While it follows, `("", "")` comes about once a second when nothing else does, so that a
        reader who has gone is noticed.
        """

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, from any thread and shortly, whenever `observe` has news."""


class Host(Protocol):
    """What keeps the servers of a place on this machine: the other half of a local target."""

    def start(self, services: tuple[str, ...]) -> None:
        """Take over what runs in this place and begin to keep it.

        `services` are all that are declared: what runs of any other is ended. Comes before all
        other calls but `replicas`, `gateway` and `down`.
        """

    def replicas(self) -> tuple[Replica, ...]:
        """Return all replicas of this place; before `start`, those that it would take over."""

    def close(self) -> None:
        """Stop keeping what runs; all of it runs on."""

    def down(self) -> None:
        """Drain and stop everything of this place, the gateway last; without `start` as well."""
