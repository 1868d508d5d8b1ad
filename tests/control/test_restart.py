"""A restart by the loop, over a real state and a target in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from control_bench import Bench

from cloche.artifacts import Deployment, Operated
from cloche.errors import ClocheError
from cloche.testing import deployment


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state.db")
    yield made
    made.close()


def ready(bench: Bench, number: int = 1) -> int:
    return len(bench.target.observe("digits").ready(number))


def warm(model: str) -> Deployment:
    """Return a deployment whose former revision keeps its replicas for ten minutes."""
    return replace(deployment(model=model), operated=Operated(warm=600))


def stamps(bench: Bench) -> dict[int, set[str | None]]:
    found: dict[int, set[str | None]] = {}
    for replica in bench.world.replicas.values():
        found.setdefault(replica.revision, set()).add(replica.restarted_at)
    return found


def test_each_replica_is_replaced_and_enough_are_ready_at_any_time(bench: Bench) -> None:
    bench.deploy(replicas=2)
    bench.run()
    asked = bench.engine.restart("digits")["restarted_at"]
    for _ in range(12):
        bench.tick()
        assert ready(bench) >= 2
    assert stamps(bench) == {1: {asked}}
    (event,) = (each for each in bench.events() if each.kind == "restarted")
    assert (event.revision, event.by) == (1, "someone@here")
    writes = bench.world.writes
    bench.run()
    assert bench.world.writes == writes


def test_it_goes_on_after_kill_9(bench: Bench) -> None:
    bench.deploy(replicas=2)
    bench.run()
    asked = bench.engine.restart("digits")["restarted_at"]
    for _ in range(12):
        bench.reopen()
        bench.tick()
        assert ready(bench) >= 2
    assert stamps(bench) == {1: {asked}}


def test_the_warm_revision_is_left_alone_and_nothing_restarts_after_a_rollout(
    bench: Bench,
) -> None:
    bench.engine.deploy(warm("a"))
    bench.run()
    bench.engine.deploy(warm("b"))
    bench.run()
    asked = bench.engine.restart("digits")["restarted_at"]
    bench.run()
    assert stamps(bench) == {1: {None}, 2: {asked}}
    bench.engine.rollback("digits")
    bench.run()
    assert bench.record().restarted_at is None
    assert stamps(bench) == {1: {None}, 2: {asked}}


def test_what_cannot_be_restarted(bench: Bench) -> None:
    def refused() -> str:
        with pytest.raises(ClocheError) as caught:
            bench.engine.restart("digits")
        return caught.value.code

    assert refused() == "service.unknown"
    bench.world.failing.add(("digits", 1))
    bench.deploy("a")
    assert refused() == "restart.under_way"
    bench.run()
    assert refused() == "restart.not_live"
    bench.deploy("b")
    bench.run()
    bench.engine.delete("digits")
    assert refused() == "service.deleting"
    assert not [each for each in bench.events() if each.kind == "restarted"]
