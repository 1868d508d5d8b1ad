"""A command that hosts the engine itself, with no daemon: it sees its rollout to the end."""

from __future__ import annotations

import pytest

from cloche import testing
from cloche.artifacts import Standing
from cloche.clients.control import rollout_events
from cloche.control import ControlPlane
from cloche.progress import SilentProgress


@pytest.fixture
def state() -> testing.MemoryState:
    return testing.MemoryState()


def test_a_command_brings_its_rollout_to_the_end(state: testing.MemoryState) -> None:
    engine = testing.engine(state=state)
    plane: ControlPlane = engine
    with engine.running():
        number = plane.deploy(testing.deployment())["revision"]
        revision = rollout_events.see_through(
            lambda: plane, "digits", number, progress=SilentProgress(), timeout=30
        )
    assert revision.phase is Standing.LIVE
    assert plane.service("digits")["live"] == 1


def test_another_command_resumes_what_one_has_begun(state: testing.MemoryState) -> None:
    """Phase and step are recorded before acting: any host goes on with another's work."""
    world, journal = testing.World(), testing.MemoryJournal()

    def host() -> testing.MemoryTarget:
        return testing.LivingTarget(world)

    first = testing.engine(state=state, journal=journal, target=host())
    first.deploy(testing.deployment())
    for _ in range(3):
        first.reconciler.tick()
        assert first.reconciler.background.wait(10)
    assert not first.revision("digits", 1).phase.ended
    second = testing.engine(state=state, journal=journal, target=host())
    with second.running():
        revision = rollout_events.see_through(
            lambda: second, "digits", 1, progress=SilentProgress(), timeout=30
        )
    assert revision.phase is Standing.LIVE
    assert world.seen == {"digits": {1: 100}}
    assert [one.id for one in world.replicas.values()] == ["digits-r1-0"]


def test_events_are_waited_for_in_the_process_too(state: testing.MemoryState) -> None:
    engine = testing.engine(state=state)
    assert engine.events(wait=0.05) == ()
    with engine.running():
        engine.deploy(testing.deployment())
        seen = engine.events("digits")
        while "live" not in [one.detail.get("phase") for one in seen]:
            more = engine.events("digits", after=seen[-1].cursor, wait=30)
            assert more
            seen += more
    assert seen[0].kind == "deployed"
    assert seen[0].by == "test@here"
