"""What tests of the control plane stand on: deployments, a clock, and a target in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cloche.artifacts import (
    BatchAxis,
    Certainty,
    Deployment,
    FileEntry,
    Golden,
    GoldenKind,
    InferenceBody,
    ModelFacts,
    ModelFormat,
    ModelRepository,
    ModelSnapshot,
    Revision,
    TensorSpec,
    Verification,
    digest_of,
    digest_of_files,
)
from cloche.errors import ClocheError
from cloche.targets.target import (
    Gateway,
    Observation,
    Placement,
    Replica,
    ReplicaPhase,
    Route,
)

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def deployment(service: str = "digits", model: str = "a", replicas: int = 1) -> Deployment:
    """Return a deployment whose model has `model` for its bytes."""
    tensor = TensorSpec("x", "FP32", (-1, 4))
    files = (FileEntry("model.onnx", 1, digest_of(model.encode())),)
    built = (FileEntry(f"{service}/1/model.onnx", 1, digest_of(model.encode())),)
    return Deployment(
        service=service,
        snapshot=ModelSnapshot(
            reference=f"./{model}.onnx",
            pinned=f"/models/{model}.onnx",
            source="files",
            version=None,
            digest=digest_of_files(files),
            format=ModelFormat.ONNX,
            files=files,
            entry="model.onnx",
        ),
        facts=ModelFacts(
            format=ModelFormat.ONNX,
            framework="onnx",
            backend="onnxruntime",
            inputs=(tensor,),
            outputs=(tensor,),
            batch=BatchAxis(True, Certainty.CERTAIN, "it is dynamic"),
            size_bytes=1,
            memory_bytes=None,
        ),
        repository=ModelRepository(
            service=service,
            digest=digest_of_files(built),
            files=built,
            models=(service,),
            backend="onnxruntime",
            inputs=(tensor,),
            outputs=(tensor,),
            max_batch_size=8,
        ),
        lock=None,
        served={"instances": 1},
        operated={"replicas": replicas},
        by="someone@here",
    )


GOLDEN = Golden(GoldenKind.GENERATED, InferenceBody(digest_of(b"question"), 8), None)


def verification(*, passed: bool = True) -> Verification:
    """Return the outcome of a golden request."""
    detail = None if passed else "y differs by 0.5"
    return Verification(
        passed, GoldenKind.GENERATED, (), 1.5, START.isoformat(), "http://127.0.0.1:1", detail
    )


class Clock:
    """Time that goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class World:
    """The place of a `MemoryTarget`: it outlives every object over it."""

    replicas: dict[str, Replica] = field(default_factory=dict)
    told: tuple[Route, ...] = ()
    seen: tuple[Route, ...] = ()
    failing: set[tuple[str, int]] = field(default_factory=set)
    """Revisions whose replicas do not come up."""
    gateway: bool = True
    down: bool = False

    def advance(self) -> None:
        """Let everything that goes on by itself come one step further."""
        for replica in list(self.replicas.values()):
            if replica.phase is ReplicaPhase.STOPPING:
                del self.replicas[replica.id]
            elif replica.phase is ReplicaPhase.STARTING:
                failed = (replica.service, replica.revision) in self.failing
                self.set_phase(replica.id, ReplicaPhase.FAILED if failed else ReplicaPhase.READY)
        self.seen = self.told if self.gateway else ()

    def set_phase(self, name: str, phase: ReplicaPhase) -> None:
        replica = replace(self.replicas[name], phase=phase)
        if phase is ReplicaPhase.FAILED:
            replica = replace(replica, detail="exit code 1", last_log=("no such model",))
        self.replicas[name] = replica

    def of(self, service: str, revision: int) -> list[Replica]:
        return [
            replica
            for replica in self.replicas.values()
            if (replica.service, replica.revision) == (service, revision)
        ]


class MemoryTarget:
    """A target whose replicas are entries of a `World`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.placed: list[Placement] = []
        self.refuses: ClocheError | None = None
        """What `place` raises."""
        self.followed = threading.Event()
        """Set when a reader of a followed log has gone."""

    def start(self) -> None: ...

    def close(self) -> None: ...

    def subscribe(self, listener: Callable[[], None]) -> None: ...

    def observe(self) -> Observation:
        gateway = Gateway(self.world.gateway, "http://127.0.0.1:8080", "127.0.0.1:8080")
        return Observation(gateway, tuple(self.world.replicas.values()), self.world.seen)

    def place(self, placement: Placement) -> None:
        self.placed.append(placement)
        if self.refuses is not None:
            raise self.refuses
        service, revision = placement.service, placement.revision
        for index in range(placement.replicas):
            name = f"{service}-r{revision}-{index}"
            if name not in self.world.replicas:
                self.world.replicas[name] = Replica(
                    name, service, revision, ReplicaPhase.STARTING, 0, "", f"http://{name}"
                )
        for replica in self.world.of(service, revision)[placement.replicas :]:
            self.world.set_phase(replica.id, ReplicaPhase.STOPPING)

    def route(self, routes: Sequence[Route]) -> None:
        self.world.told = tuple(routes)

    def remove(self, service: str, revision: int) -> None:
        for replica in self.world.of(service, revision):
            self.world.set_phase(replica.id, ReplicaPhase.STOPPING)

    def logs(
        self, service: str, revision: int | None, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, str]]:
        try:
            for replica in self.world.replicas.values():
                if replica.service == service and revision in {None, replica.revision}:
                    yield from ((replica.id, f"line {number}") for number in range(lines))
            while follow and not threading.Event().wait(0.01):
                yield "", ""
        finally:
            self.followed.set()

    def down(self) -> None:
        self.world.replicas.clear()
        self.world.told = self.world.seen = ()
        self.world.down = True


class LivingTarget(MemoryTarget):
    """A target in memory where things go on by themselves: a step each time one looks."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._lock = threading.Lock()

    def observe(self) -> Observation:
        with self._lock:
            self.world.advance()
            return super().observe()

    def place(self, placement: Placement) -> None:
        with self._lock:
            super().place(placement)

    def remove(self, service: str, revision: int) -> None:
        with self._lock:
            super().remove(service, revision)


class FixedVerifier:
    """Makes the same golden request for all, and says of each model what it is told to."""

    def __init__(self) -> None:
        self.wrong: set[str] = set()
        """Models (their reference) that answer wrongly."""
        self.broken: dict[str, ClocheError] = {}
        """Models (their reference) that cannot be run directly, and why."""
        self.asked: list[tuple[int, str]] = []

    def golden(self, revision: Revision) -> Golden:
        error = self.broken.get(revision.deployment.snapshot.reference)
        if error is not None:
            raise error
        return GOLDEN

    def verify(self, revision: Revision, golden: Golden, url: str) -> Verification:
        self.asked.append((revision.number, url))
        return verification(passed=revision.deployment.snapshot.reference not in self.wrong)
