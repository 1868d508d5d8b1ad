"""Engines of several hosts over one state: the one that holds a service acts, the others wait."""

from __future__ import annotations

import threading

import pytest

from cloche.artifacts import Event, EventKind
from cloche.control import Engine
from cloche.rollout.situation import Limits
from cloche.targets import ServiceObservation
from cloche.testing import (
    Clock,
    FixedVerifier,
    MemoryHold,
    MemoryJournal,
    MemoryState,
    MemoryTarget,
    World,
    deployment,
)


class Fleet:
    """What all hosts see: the state, the journal and what runs."""

    def __init__(self) -> None:
        self.state, self.journal, self.world = MemoryState(), MemoryJournal(), World()
        self.clock = Clock()


class Host:
    """One host with an engine, which a test drives."""

    def __init__(self, fleet: Fleet, name: str, *, elsewhere: bool = False) -> None:
        self.fleet = fleet
        self.hold = MemoryHold("digits", elsewhere=elsewhere)
        self.target = MemoryTarget(fleet.world)
        self.verifier = FixedVerifier()
        self.engine = Engine(
            fleet.state,
            fleet.journal,
            self.target,
            self.verifier,
            by=name,
            clock=fleet.clock,
            limits=Limits(pending=100, beyond_start=-500, verifying=100, shifting=20),
            hold=self.hold,
        )

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.engine.reconciler.tick()
            assert self.engine.reconciler.background.wait(10)
            self.fleet.world.advance()
            self.fleet.clock.forward(1.1)

    def until(self, phase: str) -> None:
        for _ in range(40):
            if self.phase == phase:
                return
            self.tick()
        raise AssertionError(f"it stays {self.phase}")

    @property
    def phase(self) -> str:
        return str(self.engine.service("digits")["phase"])


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def phases(fleet: Fleet) -> list[str]:
    events = fleet.journal.read("digits")
    return [str(one.detail["phase"]) for one in events if one.kind is EventKind.PHASE]


def test_who_does_not_hold_a_service_declares_and_leaves_the_rest(fleet: Fleet) -> None:
    waiting = Host(fleet, "waiting", elsewhere=True)
    waiting.engine.deploy(deployment())
    before = fleet.state.service("digits")
    waiting.tick(5)
    assert fleet.state.service("digits") == before
    assert fleet.world.replicas == {}
    acting = Host(fleet, "acting")
    acting.until("live")
    waiting.engine.scale("digits", 2)
    acting.tick(10)
    assert len(fleet.world.replicas) == 2
    waiting.engine.delete("digits")
    waiting.tick(5)
    assert len(fleet.world.replicas) == 2
    acting.tick(10)
    assert fleet.state.services() == ()


def test_another_service_is_not_attended(fleet: Fleet) -> None:
    host = Host(fleet, "acting")
    host.engine.deploy(deployment("other"))
    host.tick(5)
    assert fleet.world.replicas == {}


@pytest.mark.parametrize("phase", ["pending", "starting", "verifying", "shifting"])
def test_another_host_goes_on_from_every_phase(fleet: Fleet, phase: str) -> None:
    first, second = Host(fleet, "first"), Host(fleet, "second", elsewhere=True)
    first.engine.deploy(deployment())
    first.until(phase)
    second.tick()
    assert first.phase == phase
    first.hold.release()
    second.hold.elsewhere = False
    second.until("live")
    version = fleet.state.service("digits")
    told = fleet.journal.read()
    first.tick(5)
    assert fleet.state.service("digits") == version
    assert fleet.journal.read() == told
    assert phases(fleet) == ["starting", "verifying", "shifting", "live"]


class LosingTarget(MemoryTarget):
    """Takes long to look: another host takes the service over meanwhile."""

    hold: MemoryHold | None = None

    def observe(self, service: str) -> ServiceObservation:
        observation = super().observe(service)
        if self.hold is not None:
            self.hold.elsewhere = True
        return observation


def test_what_was_decided_before_it_was_lost_is_not_done(fleet: Fleet) -> None:
    host = Host(fleet, "slow")
    target = LosingTarget(fleet.world)
    engine = Engine(
        fleet.state, fleet.journal, target, FixedVerifier(), clock=fleet.clock, hold=host.hold
    )
    engine.deploy(deployment())
    for phase in ("starting", "verifying"):
        stored, writes = fleet.state.service("digits"), fleet.world.writes
        target.hold = host.hold
        engine.reconciler.tick()
        assert fleet.state.service("digits") == stored
        assert fleet.world.writes == writes
        target.hold, host.hold.elsewhere = None, False
        host.until(phase)


def test_a_verdict_that_comes_after_the_loss_is_forgotten(fleet: Fleet) -> None:
    host = Host(fleet, "first")
    host.engine.deploy(deployment())
    while not host.verifier.asked:
        host.tick()
    host.hold.elsewhere = True
    host.tick(3)
    assert fleet.state.attached("digits", 1).verification is None
    host.hold.elsewhere = False
    host.until("live")
    assert len(host.verifier.asked) == 2
    assert fleet.state.attached("digits", 1).verification is not None


def test_no_time_limit_runs_while_nobody_acts(fleet: Fleet) -> None:
    host = Host(fleet, "asleep")
    host.engine.deploy(deployment())
    host.until("starting")
    host.hold.elsewhere = True
    host.tick()
    fleet.clock.forward(10_000)
    host.tick()
    host.hold.elsewhere = False
    host.until("live")


def test_who_waits_sees_the_events_of_the_other_host(fleet: Fleet) -> None:
    waiting = Host(fleet, "waiting", elsewhere=True)
    event = Event("2026-11-01T12:00:00", "digits", 1, EventKind.PHASE, "It is live.", "other")
    later = threading.Timer(0.1, fleet.journal.append, ([event],))
    later.start()
    assert [one.what for one in waiting.engine.events(wait=60)] == ["It is live."]
    later.join(10)
