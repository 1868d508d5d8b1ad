"""An engine over a target in memory, which a test drives tick by tick."""

from __future__ import annotations

from pathlib import Path

from cloche.artifacts import Event, RevisionStatus, ServiceRecord
from cloche.control import Engine
from cloche.rollout.situation import Limits
from cloche.state.sqlite import SqliteJournal, SqliteState
from cloche.testing import Clock, FixedVerifier, MemoryTarget, World, deployment


class Bench:
    """An engine over a world, which can be built again over the same file and world."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.world = World()
        self.verifier = FixedVerifier()
        self.open()

    def open(self) -> None:
        self.state = SqliteState(self.path)
        self.journal = SqliteJournal(self.path)
        self.target = MemoryTarget(self.world)
        self.engine = Engine(
            self.state,
            self.journal,
            self.target,
            self.verifier,
            by="someone@here",
            clock=self.clock,
            limits=Limits(pending=100, beyond_start=-500, verifying=100, shifting=20),
        )

    def close(self) -> None:
        self.state.close()
        self.journal.close()

    def reopen(self) -> None:
        """Build everything again, as a control plane does that was killed."""
        self.close()
        self.open()
        self.target.start(self.state.services())

    def deploy(self, model: str = "a", replicas: int = 1, service: str = "digits") -> int:
        return self.engine.deploy(deployment(service, model, replicas))["revision"]

    def record(self, service: str = "digits") -> ServiceRecord:
        stored = self.state.service(service)
        assert stored is not None
        return stored.record

    def revision(self, number: int, service: str = "digits") -> RevisionStatus:
        return self.engine.revision(service, number)

    def phase(self, number: int) -> str:
        return self.revision(number).phase.value

    def split(self, service: str = "digits") -> dict[int, int]:
        """Return the split of the traffic that the gateway serves."""
        return self.world.seen.get(service, {})

    def events(self) -> tuple[Event, ...]:
        return self.journal.read()

    def tick(self, times: int = 1) -> None:
        """Tick, with the world and the clock going on, and work given the time it takes."""
        for _ in range(times):
            self.engine.reconciler.tick()
            self.settle()
            self.world.advance()
            self.clock.forward(1.1)

    def settle(self) -> None:
        """Wait until the work that was begun has ended, if any was."""
        assert self.engine.reconciler.background.wait(10)

    def run(self, limit: int = 40) -> None:
        """Tick until nothing changes any more, not even what was begun a tick before."""
        quiet = 0
        for _ in range(limit):
            before = (dict(self.world.replicas), self.world.seen, self.events())
            self.tick()
            after = (dict(self.world.replicas), self.world.seen, self.events())
            quiet = quiet + 1 if before == after else 0
            if quiet == 3:
                return
        raise AssertionError("it does not come to rest")
