"""The contract of a target: a named place where services run.

`apply` tells a target what one whole service should be, `observe` returns what it is. Both are
short and can be repeated. `apply` compares what is desired with what runs and writes only
differences; slow work continues in the target and shows in the next observation. Services run on
without Cloche, and a new `Target` object over the same place adopts them. A target never touches a
service that it was not told of.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cloche.errors import ErrorGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cloche.artifacts import Finding, ObjectChange, Runtime
    from cloche.errors import ClocheError
    from cloche.targets.desired import Desired


class ReplicaPhase(enum.StrEnum):
    """The phase of one replica."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    """It runs and was ready, but does not answer its health check."""
    RESTARTING = "restarting"
    """It ended by itself and is started again after a delay."""
    FAILED = "failed"
    """It ended too often, or took too long to start; it is not started again."""
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Replica:
    """One server of a revision, as a target shows it."""

    id: str
    """`NAME-r3-0`"""
    service: str
    revision: int
    phase: ReplicaPhase
    restarts: int
    since: str
    """When the phase began: UTC, ISO 8601."""
    url: str | None
    """Base URL of the replica's own HTTP endpoint, if it can be reached from here.

    `unix:PATH` is one on a Unix socket.
    """
    grpc: str | None = None
    pid: int | None = None
    """Its process, if it runs on this machine."""
    runtime: Runtime | None = None
    """What it is, where a target has a choice."""
    closed: tuple[str, ...] | None = None
    """What is closed to its model's code: `files`, `network`; None where a target does not say."""
    detail: str | None = None
    """Why it is not ready, or what is wrong though it is, as a sentence."""
    last_log: tuple[str, ...] = ()
    """The last lines of its log, if it failed."""
    remedy: str | None = None
    """What to do about it, as a sentence, where its log does not say why."""
    unready_since: str | None = None
    """When it stopped being ready, if it was before."""
    restarted_at: str | None = None
    """The restart that it was started for: the `restarted_at` of its placement at that time."""
    unplaced: bool = False
    """Whether it waits for a machine; the target limits that wait."""
    placed_at: str | None = None
    """When a machine took it, where it may have to wait for one."""


@dataclass(frozen=True, slots=True)
class ReplicaAddress:
    """Where one server can be asked."""

    http: str
    """Base URL, or `unix:PATH` for a Unix socket."""
    grpc: str | None = None
    """`host:port` or `unix:PATH`; None if only HTTP is known."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The address that all services of a target share, and whether it answers."""

    ready: bool
    http: str
    """Base URL, such as `http://127.0.0.1:8080`."""
    grpc: str
    """`127.0.0.1:8080`"""
    pid: int | None = None
    """The process that answers, or the first of several."""
    detail: str | None = None
    """Why it is not ready, as a sentence."""
    processes: tuple[GatewayProcess, ...] = ()
    """The processes that share its port; one that does not run has no pid."""


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """A process of the gateway."""

    pid: int | None
    phase: ReplicaPhase
    restarts: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a service."""

    http: str
    """Base URL; a request goes to `{http}/v2/models/MODEL/infer`."""
    grpc: str
    ready: bool
    """Whether something answers at the address; not whether the service has a replica."""
    detail: str | None = None
    """Why it is not ready, as a sentence."""
    log: str | None = None
    """Path of the log of what answers there, for people."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What an autoscaler makes of a revision."""

    minimum: int
    maximum: int
    replicas: int | None = None
    """How many it wants now."""
    measured: Mapping[str, str] = field(default_factory=dict)
    """What it follows, as it was measured last: `{"requests-per-second": "62 of 100"}`."""
    trouble: str | None = None
    """Why it does not work, as a sentence; the number of replicas then stays."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests as the gateway saw them."""

    requests: int
    """Those that were answered, whatever the answer."""
    requests_per_second: float
    """In the last ten seconds."""
    errors: int
    """Answers 5xx, and what gRPC has for them: not the caller's fault."""
    lost: int
    """Nobody answered, or too late: 503 and 504, UNAVAILABLE and DEADLINE_EXCEEDED."""
    p50_ms: float | None
    """Milliseconds in which half of the requests were answered; 0 is less than one."""
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class ServiceTraffic:
    """The traffic of a service, all of it and by revision."""

    seconds: float
    """How long ago counting began, at most a minute."""
    total: Traffic
    revisions: Mapping[int, Traffic]


@dataclass(frozen=True, slots=True)
class ServiceObservation:
    """The state of one service at one moment."""

    service: str
    endpoint: Endpoint
    split: Mapping[int, int]
    """Percent by revision that the gateway is seen to serve, not what it was told to serve."""
    replicas: tuple[Replica, ...]
    scaling: Mapping[int, Scaling] = field(default_factory=dict)
    """By revision, where an autoscaler sets the number of replicas."""
    traffic: ServiceTraffic | None = field(default=None, compare=False)
    """None where this target's gateway does not count, or has not counted yet. It always changes,
    and so tells nothing of whether two observations are of the same state."""

    @property
    def empty(self) -> bool:
        """Return whether nothing of the service runs or is routed."""
        return not self.replicas and not self.split

    def of(self, revision: int) -> tuple[Replica, ...]:
        """Return the replicas of a revision."""
        return tuple(replica for replica in self.replicas if replica.revision == revision)

    def ready(self, revision: int) -> tuple[Replica, ...]:
        """Return the ready replicas of a revision."""
        return tuple(
            replica for replica in self.of(revision) if replica.phase is ReplicaPhase.READY
        )


@dataclass(frozen=True, slots=True)
class TargetChange:
    """One thing that `apply` would do."""

    revision: int | None
    what: str
    """`start 2 replicas`"""


class ApplyError(ErrorGroup):
    """The parts of a service that could not be applied; all other parts were."""

    def __init__(self, service: str, errors: Mapping[int | None, ClocheError]) -> None:
        """Collect errors by revision; None is for an error of the whole service."""
        what = f"{service} could not be applied completely."
        super().__init__("target.apply", what, tuple(errors.values()))
        self.by_revision = dict(errors)


class Target(Protocol):
    """A place where services run; calls may come from any thread."""

    @property
    def autoscales(self) -> bool:
        """Return whether the number of replicas follows a measure; else a range runs its least."""

    @property
    def retries(self) -> bool:
        """Return whether it starts what waits at once when its placement has a new `retried_at`."""

    def admit(self, desired: Desired) -> None:
        """Raise ClocheError if this target can never serve what is desired, and change nothing.

        That includes missing files, a missing environment or a missing image.
        """

    def require_room(self, desired: Desired) -> None:
        """Raise ConflictError if the replicas of `desired.asked` would find no room beside others.

        Where that is not known, nothing is raised. Changes nothing.
        """

    def foresee(self, desired: Desired) -> tuple[Finding, ...]:
        """Return what a user should know before `desired.asked` is served so; changes nothing."""

    def apply(self, desired: Desired) -> None:
        """Start, route, drain and stop until one service is what is desired.

        Raises ApplyError for the parts that cannot begin (files gone, disk full), after beginning
        the others; a replica that fails later shows in `observe`. A revision that lost its share
        of the traffic gets no new requests and finishes those that it has. Replicas that a restart
        replaces end one by one, each when as many others answer as are wanted.
        """

    def diff(self, desired: Desired) -> tuple[TargetChange, ...]:
        """Return what `apply` would do now; empty if it would write nothing."""

    def compare(self, desired: Desired) -> tuple[ObjectChange, ...]:
        """Return how the objects of a cluster differ from those that are desired.

        That includes what others changed in them and `apply` leaves. Empty for a target that keeps
        none. Raises ClocheError for an object that the cluster refuses.
        """

    def observe(self, service: str) -> ServiceObservation:
        """Return the replicas and the traffic of a service, also of one that was not applied."""

    def gateway(self) -> Gateway | None:
        """Return the address that all services share; None if each has its own."""

    def reach(
        self, service: str, revision: int, replica: str | None = None
    ) -> AbstractContextManager[ReplicaAddress]:
        """Yield the address of a ready replica, which keeps running while the block lasts.

        A replica that is removed meanwhile waits for the end of the block, as for a request.
        Raises UnavailableError `target.unreachable` if no replica (or not the named one) is ready.
        """

    def doubt(self, service: str, revision: int, address: ReplicaAddress, why: str) -> None:
        """Take note that the replica at an address answered its golden request wrongly.

        A target that judges the answers of its replicas asks it again, and replaces it if that is
        wrong, too; any other does nothing.
        """

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        """Yield `(replica id, line)` of each replica's last lines, then new ones with `follow`.

        With `follow`, `("", "")` comes about once a second if no line does, so that the caller can
        notice that its reader has gone.
        """

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from any thread, soon after each change that `observe` shows."""
