"""A control plane over a target in memory, which a test drives tick by tick."""

from __future__ import annotations

import time
from pathlib import Path

from cloche.artifacts import Revision
from cloche.control.reconcile import Reconciler
from cloche.rollout.phases import Limits
from cloche.state.sqlite import SqliteState
from fixtures_control import Clock, FixedVerifier, MemoryTarget, World, deployment


class Bench:
    """A control plane over a world, which can be built again over the same file and world."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.world = World()
        self.verifier = FixedVerifier()
        self.open()

    def open(self) -> None:
        self.state = SqliteState(self.path, clock=self.clock)
        self.target = MemoryTarget(self.world)
        self.reconciler = Reconciler(
            self.state,
            self.target,
            self.verifier,
            clock=self.clock,
            limits=Limits(starting=100, verifying=100, shifting=20),
        )

    def reopen(self) -> None:
        """Build everything again, as a control plane does that was killed."""
        self.state.close()
        self.open()

    def deploy(self, model: str = "a", replicas: int = 1, service: str = "digits") -> int:
        asked = deployment(service, model, replicas)
        return self.state.deploy(asked, asked.digest).number

    def revision(self, number: int, service: str = "digits") -> Revision:
        found = self.state.revision(service, number)
        assert found is not None
        return found

    def phase(self, number: int) -> str:
        return self.revision(number).phase.value

    def tick(self, times: int = 1) -> None:
        """Tick, with the world and the clock going on, and work given the time it takes."""
        for _ in range(times):
            self.reconciler.tick()
            settle(self.reconciler)
            self.world.advance()
            self.clock.forward(1.1)

    def run(self, limit: int = 40) -> None:
        """Tick until nothing changes any more, not even what was begun a tick before."""
        quiet = 0
        for _ in range(limit):
            before = (dict(self.world.replicas), self.world.seen, self.state.events())
            self.tick()
            after = (dict(self.world.replicas), self.world.seen, self.state.events())
            quiet = quiet + 1 if before == after else 0
            if quiet == 3:
                return
        raise AssertionError("it does not come to rest")


def settle(reconciler: Reconciler) -> None:
    """Wait until the work that was begun has ended, if any was."""
    workers = reconciler._actions._workers
    deadline = time.monotonic() + 10
    while len(workers.finished()) < len(workers._known):
        assert time.monotonic() < deadline
        time.sleep(0.001)
