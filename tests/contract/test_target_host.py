"""What the host of every target on this machine keeps: beginning, letting go, ending."""

from __future__ import annotations

from cloche.targets import ReplicaPhase
from fixtures.places import Place


def test_another_object_takes_over_and_touches_only_what_it_is_told(place: Place) -> None:
    wanted = place.serve("demo", {1: 2}, {1: 100})
    place.serve("other", {1: 1, 2: 1}, {1: 90, 2: 10})
    before = {name: place.target.observe(name) for name in ("demo", "other")}
    target = place.another("demo", "other")
    place.until(lambda: {name: target.observe(name) for name in before} == before)
    writes = place.writes()
    assert target.diff(wanted) == ()
    target.apply(wanted)
    assert place.writes() == writes
    assert {name: target.observe(name) for name in before} == before
    place.serve("demo", {3: 1}, {3: 100})
    assert target.observe("other") == before["other"]


def test_all_runs_on_when_it_is_closed(place: Place) -> None:
    place.serve("demo", {1: 2}, {1: 100})
    before, gateway = place.target.replicas(), place.target.gateway()
    assert [one.phase for one in before] == [ReplicaPhase.READY] * 2
    target = place.reopen()
    assert (target.replicas(), target.gateway()) == (before, gateway), "what it would take over"
    target.start(("demo",))
    place.until(lambda: target.observe("demo").endpoint.ready)
    assert (target.replicas(), target.gateway()) == (before, gateway)


def test_what_is_not_declared_is_ended_at_the_start(place: Place) -> None:
    place.serve("demo", {1: 1}, {1: 100})
    place.serve("forgotten", {1: 1, 2: 1}, {1: 100})
    before = place.of("demo", 1)
    target = place.another("demo")
    place.until(lambda: target.observe("forgotten").empty)
    assert {one.service for one in target.replicas()} == {"demo"}
    place.until(lambda: dict(target.observe("demo").split) == {1: 100})
    assert place.of("demo", 1) == before


def test_replicas_are_those_of_all_services(place: Place) -> None:
    place.serve("one", {1: 1, 2: 1})
    place.serve("other", {1: 1})
    seen = [replica for name in ("one", "other") for replica in place.target.observe(name).replicas]
    assert sorted(one.id for one in place.target.replicas()) == sorted(one.id for one in seen)


def test_down_leaves_nothing_and_can_be_repeated(place: Place) -> None:
    place.serve("demo", {1: 2}, {1: 100})
    place.serve("other", {1: 1})
    place.target.down()
    assert place.target.replicas() == ()
    for service in ("demo", "other"):
        seen = place.target.observe(service)
        assert seen.empty
        assert not seen.endpoint.ready
        assert seen.endpoint.detail
    place.target.down()
    target = place.another()
    assert target.replicas() == ()
    place.until(lambda: target.observe("demo").endpoint.ready)
    desired = place.serve("demo", {1: 1}, {1: 100})
    assert target.diff(desired) == ()


def test_down_without_a_start_ends_what_runs(place: Place) -> None:
    place.serve("demo", {1: 2}, {1: 100})
    target = place.reopen()
    assert len(target.replicas()) == 2
    target.down()
    assert target.replicas() == ()
    assert place.another().replicas() == ()
