"""The served part of a spec, which makes a revision, and the operated part, which changes in place.

Every value is optional; None means that the spec does not set it. The defaults and bounds of the
operated part are defined here only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields, replace
from typing import Any

from cloche.artifacts.adoption import Front
from cloche.artifacts.cluster import Expose, Exposure

MOST_REPLICAS = 1000
DEFAULT_REPLICAS = 1
DEFAULT_START_TIMEOUT = 600.0
SHORTEST_TIMEOUT = 0.01
LONGEST_TIMEOUT = 86_400.0
"""Seconds from the start of a server until its model is loaded."""
SHORTEST_START_TIMEOUT = 1.0
LARGEST_TOLERANCE = 1e-2
"""As a fraction of a tensor's largest magnitude; what is further off is another answer."""
DEFAULT_KEEP = 10
"""How many revisions of a service can be brought back."""
MOST_KEPT = 100
WHOLE_GPU = "nvidia.com/gpu"
"""The resource of GPUs in a cluster, as NVIDIA's device plugin names it."""


class Runtime(enum.StrEnum):
    """What a replica on this machine is; what it serves is the same."""

    PROCESS = "process"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests are joined into batches, and how many may wait; durations in microseconds."""

    max_batch_size: int | None = None
    max_queue_delay: int | None = None
    preferred_batch_sizes: tuple[int, ...] | None = None
    max_queue_size: int | None = None
    queue_timeout: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """What one replica gets of the GPUs of its node."""

    count: int = 1
    resource: str = WHOLE_GPU
    """The resource by which a cluster hands them out; a slice (MIG) has one of its own."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica gets: processors, memory in bytes, and GPUs."""

    cpu: float | None = None
    memory: int | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Settings of the inference server that have no key of their own in a spec."""

    parameters: dict[str, str] = field(default_factory=dict)
    warmup: bool | None = None
    graph_optimization: str | None = None
    release: str | None = None
    """Of the server in images: `26.05`."""


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """An input of a model as the user declares it."""

    name: str
    datatype: str
    shape: tuple[int | str, ...]
    """Sizes; -1 or a name for an axis of any size."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is loaded and whether it is converted, where its files do not say it."""

    class_name: str | None = None
    """For weights alone: the class or function that makes their module, as `package.name`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The keyword arguments of that call."""
    requirements: tuple[str, ...] | None = None
    """Lines of requirements, in place of those that its files record or that were tested."""
    python: str | None = None
    """`3.11`, where its files name none."""
    method: str | None = None
    """What of the model answers, such as `predict_proba`; None for what is usual for its kind."""
    signature: str | None = None
    """Which of a SavedModel's signatures is served, where it has several."""
    conversion: str | None = None
    """`auto`, `off` or `required`."""
    tolerance: float | None = None
    """How far a converted float may be from the original's, as a fraction of the scale."""
    trust: bool | None = None
    """Whether code in it may be loaded although it comes from where anybody may have put it."""
    inputs: tuple[DeclaredInput, ...] | None = None
    """What it takes, in order, where nothing else tells."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a model's code reaches of the machine that it runs on, beside what it needs."""

    files: bool | None = None
    """Whether the files of the user are closed to it."""
    network: bool | None = None
    """Whether it keeps the network while it serves."""
    read: tuple[str, ...] | None = None
    """Paths that it may read all the same; `~/` begins one in the user's home."""
    write: tuple[str, ...] | None = None
    """Paths that it may also change."""

    @property
    def closes_files(self) -> bool:
        """Return whether the files of the user are closed, as they are by default."""
        return self.files is not False

    @property
    def keeps_network(self) -> bool:
        """Return whether the network stays, as it does by default."""
        return self.network is not False

    @property
    def opened(self) -> tuple[str, ...]:
        """Return the paths that are opened, to be read or changed, as they were written."""
        return (*(self.read or ()), *(self.write or ()))

    @property
    def opens_files(self) -> bool:
        """Return whether it gives more of the files than what a model needs."""
        return not self.closes_files or bool(self.opened)


@dataclass(frozen=True, slots=True)
class Served:
    """The part of a spec that defines what is served; a change of it makes a revision."""

    batching: Batching = field(default_factory=Batching)
    instances: int | None = None
    resources: Resources = field(default_factory=Resources)
    server: ServerOptions = field(default_factory=ServerOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    runtime: Runtime | None = None
    sandbox: Sandbox = field(default_factory=Sandbox)


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


class Capacity(enum.StrEnum):
    """Where the replicas of a new revision find room."""

    SURGE = "surge"
    """Beside those of the live one."""
    RECREATE = "recreate"
    """In the place of the live ones, which end first: nobody answers meanwhile."""
    PARTIAL = "partial"
    """One after the other in the place of a live one, and with it a share of the traffic."""


@dataclass(frozen=True, slots=True)
class Autoscale:
    """How much one replica is to carry: what is over it starts another; at least one is set."""

    requests_per_second: float | None = None
    queue_time: float | None = None
    """Seconds that a request waits in the server, on average."""
    gpu_utilization: float | None = None
    """Percent of the time in which its GPUs are busy."""


@dataclass(frozen=True, slots=True)
class Operated:
    """The part of a spec that operates a service; a change of it makes no revision."""

    replicas: ReplicaRange | None = None
    start_timeout: float | None = None
    """Seconds until a replica must be ready; also the limit of the direct run of its model."""
    keep: int | None = None
    """How many revisions can be brought back."""
    require_verification: bool | None = None
    """Whether a revision goes live only if values of its golden request were compared."""
    warm: float | None = None
    """Seconds for which the replicas of a former revision are kept, for a quick way back."""
    exposure: Exposure | None = None
    """Who reaches it, in a cluster."""
    autoscale: Autoscale | None = None
    """What the number of replicas follows, in a cluster; a fixed number follows nothing."""
    capacity: Capacity | None = None
    """Where the replicas of a new revision find room; None for beside the live ones."""
    schedule_timeout: float | None = None
    """Seconds that a replica may wait for a machine which is being added for it."""
    front: Front | None = None
    """The Service made by hand that it is reached through, whatever `exposure` says."""
    timeout: float | None = None
    """Seconds after which a request is given up; None for the default of its target."""
    probe: bool | None = None
    """Whether a replica that answers nothing else is asked the golden request."""

    def over(self, before: Operated) -> Operated:
        """Return these values, and those of `before` where a value is None."""
        values = {
            name: value
            for name in (field.name for field in fields(self))
            if (value := getattr(self, name)) is not None
        }
        return replace(before, **values)

    @property
    def replica_range(self) -> ReplicaRange:
        """Return the range of replicas, or the default."""
        return self.replicas or ReplicaRange.exactly(DEFAULT_REPLICAS)

    @property
    def reached(self) -> Exposure:
        """Return how it is reached: what was made by hand needs nothing more."""
        exposure = self.exposure or Exposure()
        return exposure if self.front is None else replace(exposure, expose=Expose.CLUSTERIP)

    @property
    def autoscaled(self) -> Autoscale | None:
        """Return what the number of replicas follows; None where it is fixed."""
        return None if self.replica_range.fixed else self.autoscale

    @property
    def start_limit(self) -> float:
        """Return the seconds that a start may take, or the default."""
        return DEFAULT_START_TIMEOUT if self.start_timeout is None else self.start_timeout

    @property
    def warm_limit(self) -> float:
        """Return the seconds for which a former revision keeps its replicas, or none.

        Where its place was needed there is none for both.
        """
        surge = self.capacity in {None, Capacity.SURGE}
        return self.warm if surge and self.warm is not None else 0.0

    @property
    def kept(self) -> int:
        """Return how many revisions can be brought back, or the default."""
        return DEFAULT_KEEP if self.keep is None else self.keep


def asked_for(value: Any) -> Any:
    """Return a value as dicts and lists, without its unset parts (None, empty dicts).

    A field that a later version adds then makes no difference to earlier records.
    """
    from cloche.artifacts.encoding import to_builtins

    return _without_unset(to_builtins(value))


def _without_unset(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, dict):
        return value
    pruned = {key: _without_unset(item) for key, item in value.items()}
    return {key: item for key, item in pruned.items() if item is not None and item != {}}
