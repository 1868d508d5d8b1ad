"""The replicas of one revision, as servers that are small scripts."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import ModelRepository, ReplicaRange, RepositoryMember, Runtime
from cloche.targets import Placement, ReplicaPhase
from cloche.targets.local import ports, processes
from cloche.targets.local.context import HomeContext
from cloche.targets.local.health.replica_health import Questions
from cloche.targets.local.lifecycle import Policy, Step
from cloche.targets.local.processes import Marker
from cloche.targets.local.revisions import RevisionRunner
from cloche.targets.local.supervised import Launch, Record
from fixtures.local import until

SERVER = """
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if Path(sys.argv[1]).exists() else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

for port in sys.argv[2:]:
    server = HTTPServer(("127.0.0.1", int(port)), Handler)
    threading.Thread(target=server.serve_forever).start()
"""
"""Is ready as soon as a file is there."""
REPOSITORY = ModelRepository(
    "m", "sha256:" + "0" * 64, (), (RepositoryMember("m", "python", (), (), 0),)
)
IMPATIENT = Policy(start_limit=0.01, end_limit=5.0, start_check_every=0.01)


class ScriptSoftware:
    """Starts servers that are ready once `loaded` is there."""

    as_streams = False

    def __init__(self, loaded: Path) -> None:
        self.loaded = loaded

    def runtime(self, placement: Placement) -> Runtime:
        return Runtime.PROCESS

    def lay_out(self, placement: Placement, serving: Path) -> None:
        serving.mkdir(parents=True)

    def listens(self, serving: Path, name: str, record: Record) -> bool:
        return record.pid is not None and ports.listens(record.pid, ports.of(record.addresses))

    def launch(self, serving: Path, marker: Marker, placement: Placement, log: Path) -> Launch:
        taken = ports.choose(3)
        words = (str(self.loaded), *map(str, taken))
        return Launch((sys.executable, "-c", SERVER, *words), {}, tuple(map(ports.address, taken)))

    def keep(self, record: Record) -> None: ...

    def model_program(self, placement: Placement) -> str | None: ...

    def memory_limit(self, placement: Placement) -> int | None: ...

    def questions(self, placement: Placement) -> Questions:
        return Questions(("/ready",))

    def judging(self, placement: Placement) -> None: ...

    def clean(self, serving: Path, name: str) -> None: ...


class Revisions:
    """Makes runners over one home, in which a start may take almost no time at all."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.loaded = home / "loaded"
        self.made: list[RevisionRunner] = []

    def context(self) -> HomeContext:
        return HomeContext(
            self.home,
            ScriptSoftware(self.loaded),
            IMPATIENT,
            drained=lambda record: True,
            offered=lambda record: True,
            changed=lambda: None,
            request_limit=60.0,
        )

    def place(self, start_limit: float, replicas: int = 1) -> RevisionRunner:
        placement = Placement("m", 1, REPOSITORY, ReplicaRange.exactly(replicas), start_limit)
        runner = RevisionRunner(placement, self.context())
        self.made.append(runner)
        runner.place(placement)
        return runner

    def restore(self, earlier: RevisionRunner) -> RevisionRunner:
        """Close a runner, and take over what it ran, as another process does."""
        self.close(earlier)
        runner = RevisionRunner.restore(earlier.folder, self.context())
        assert runner is not None
        self.made.append(runner)
        leaders = {one.marker.run: one for one in processes.find(self.home) if one.leads}
        assert len(runner.adopt(leaders)) == len(leaders)
        runner.start()
        return runner

    @staticmethod
    def close(runner: RevisionRunner) -> None:
        runner.close()
        runner.join(time.monotonic() + 10)


@pytest.fixture
def revisions(tmp_path: Path) -> Iterator[Revisions]:
    made = Revisions(tmp_path)
    yield made
    for runner in made.made:
        made.close(runner)
    processes.end_strays(tmp_path, kept=())
    assert processes.find(tmp_path) == []


def phases(runner: RevisionRunner) -> set[ReplicaPhase]:
    return {one.phase for one in runner.replicas()}


def starting_for(runner: RevisionRunner) -> float:
    """Return the seconds that the replica which began last has been starting."""
    records = runner.placed().replicas
    assert phases(runner) == {ReplicaPhase.STARTING}
    return time.monotonic() - max(one.life.since for one in records)


def test_the_limit_of_a_start_is_that_of_the_placement(revisions: Revisions) -> None:
    runner = revisions.place(start_limit=0.5, replicas=2)
    until(lambda: {one.life.step for one in runner.placed().replicas} == {Step.FAILED})
    assert phases(runner) == {ReplicaPhase.FAILED}
    details = {one.detail for one in runner.replicas()}
    assert details == {"It was not ready within 0.5 seconds of its start."}
    assert processes.find(revisions.home) == []


def test_a_patient_placement_outwaits_the_policy(revisions: Revisions) -> None:
    runner = revisions.place(start_limit=60.0)
    until(lambda: runner.placed().replicas[0].pid is not None)
    until(lambda: starting_for(runner) > 10 * IMPATIENT.start_limit)
    revisions.loaded.touch()
    until(lambda: phases(runner) == {ReplicaPhase.READY})


def test_a_longer_limit_reaches_replicas_that_are_starting(revisions: Revisions) -> None:
    short = 2.0
    runner = revisions.place(start_limit=short, replicas=2)
    until(lambda: None not in {one.pid for one in runner.replicas()})
    before = {one.pid for one in runner.replicas()}
    runner.place(replace(runner.placement, start_limit=60.0))
    until(lambda: starting_for(runner) > short + 0.3)
    revisions.loaded.touch()
    until(lambda: phases(runner) == {ReplicaPhase.READY})
    assert {one.pid for one in runner.replicas()} == before


def test_the_limit_is_taken_over_with_the_replicas(revisions: Revisions) -> None:
    first = revisions.place(start_limit=60.0)
    until(lambda: first.placed().replicas[0].pid is not None)
    runner = revisions.restore(first)
    assert runner.placement == first.placement
    until(lambda: starting_for(runner) > 10 * IMPATIENT.start_limit)
    revisions.loaded.touch()
    until(lambda: phases(runner) == {ReplicaPhase.READY})


def test_what_served_is_started_again_without_end(revisions: Revisions) -> None:
    revisions.loaded.touch()
    runner = revisions.place(start_limit=60.0)
    runner.place(replace(runner.placement, proven=True))
    quick = replace(IMPATIENT, first_delay=0.01, longest_delay=0.01, attempts=2, first_attempts=1)
    for supervisor in runner._all():
        supervisor.policy = replace(quick, endless=supervisor.policy.endless, start_limit=60.0)
    for ended in range(5):
        until(lambda: phases(runner) == {ReplicaPhase.READY})
        pid = runner.replicas()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda count=ended + 1: runner.replicas()[0].restarts == count)
    until(lambda: phases(runner) == {ReplicaPhase.READY})


def test_a_revision_that_was_never_proven_fails_and_asking_again_starts_it(
    revisions: Revisions,
) -> None:
    runner = revisions.place(start_limit=0.2)
    until(lambda: phases(runner) == {ReplicaPhase.FAILED})
    until(lambda: runner.placed().replicas[0].life.step is Step.FAILED)
    revisions.loaded.touch()
    asked = replace(runner.placement, start_limit=60.0, retried_at="2026-01-01T00:00:00+00:00")
    runner.place(asked)
    until(lambda: phases(runner) == {ReplicaPhase.READY})
    before = runner.replicas()[0].pid
    runner.place(asked)
    assert runner.replicas()[0].pid == before


def test_a_replica_is_spared_only_while_another_one_stays(revisions: Revisions) -> None:
    revisions.loaded.touch()
    runner = revisions.place(start_limit=60.0, replicas=2)
    until(lambda: phases(runner) == {ReplicaPhase.READY})
    first, second = (replica.id for replica in runner.replicas())
    assert runner._can_spare(first)
    assert not runner._can_spare(second), "the first one is about to leave"
    assert runner._can_spare(first)


def test_the_only_replica_is_never_spared(revisions: Revisions) -> None:
    revisions.loaded.touch()
    runner = revisions.place(start_limit=60.0)
    until(lambda: phases(runner) == {ReplicaPhase.READY})
    assert not runner._can_spare(runner.replicas()[0].id)
