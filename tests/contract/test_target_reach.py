"""How replicas and logs of any target are reached, and what the gateway does with requests."""

from __future__ import annotations

import threading

import pytest

from cloche.errors import UnavailableError
from cloche.targets import Desired, ReplicaPhase
from fixtures.asking import NO_WAIT, Answer, ask
from fixtures.places import Place


def unreachable(place: Place, revision: int, replica: str | None = None) -> bool:
    with (
        pytest.raises(UnavailableError) as caught,
        place.target.reach("demo", revision, replica),
    ):
        pytest.fail("it was reached")
    return caught.value.code == "target.unreachable"


def test_a_ready_replica_is_reached_and_no_other(place: Place) -> None:
    assert unreachable(place, 1)
    desired = place.desired("demo", {1: 2})
    place.target.apply(desired)
    name = place.of("demo", 1)[0].id
    assert unreachable(place, 1, name)
    place.until(lambda: place.settled(desired))
    urls = {one.id: one.url for one in place.of("demo", 1)}
    with place.target.reach("demo", 1) as address:
        assert address.http in urls.values()
    for replica, own in urls.items():
        with place.target.reach("demo", 1, replica) as address:
            assert address.http == own
    assert unreachable(place, 2)
    assert unreachable(place, 1, "another")
    assert unreachable(place, 2, name)
    place.target.apply(Desired("demo"))
    place.until(lambda: place.target.observe("demo").empty)
    assert unreachable(place, 1)


def test_a_reached_replica_goes_only_after_the_block(place: Place) -> None:
    place.serve("demo", {1: 1, 2: 1}, {1: 100})
    with pytest.raises(ZeroDivisionError), place.target.reach("demo", 1):
        raise ZeroDivisionError
    with place.target.reach("demo", 1), place.target.reach("demo", 1):
        place.target.apply(Desired("demo"))
        place.until(lambda: place.of("demo", 2) == [])
        assert [one.phase for one in place.of("demo", 1)] == [ReplicaPhase.STOPPING]
    place.until(lambda: place.target.observe("demo").empty)


# ── logs ──────────────────────────────────────────────────────────────────────────────────────


def test_the_last_lines_of_each_replica(place: Place) -> None:
    place.serve("demo", {1: 2, 2: 1})
    for revision in (1, 2):
        log = list(place.target.logs("demo", revision, lines=2, follow=False))
        names = {one.id for one in place.of("demo", revision)}
        assert {name for name, _ in log} == names
        assert len(log) == 2 * len(names)
    both = {name for name, _ in place.target.logs("demo", None, lines=1, follow=False)}
    assert both == {one.id for one in place.target.observe("demo").replicas}
    assert list(place.target.logs("demo", 3, lines=2, follow=False)) == []
    assert list(place.target.logs("demo", 1, lines=0, follow=False)) == []


def test_a_followed_log_goes_on_with_replicas_that_come_later(place: Place) -> None:
    place.serve("demo", {1: 1})
    first = place.of("demo", 1)[0].id
    log = place.target.logs("demo", 1, lines=2, follow=True)
    assert [next(log)[0] for _ in range(2)] == [first, first]
    while next(log) != ("", ""):
        pass  # then nothing was said for a second
    place.serve("demo", {1: 2})
    later = {one.id for one in place.of("demo", 1)} - {first}
    while (line := next(log))[0] not in later:
        pass
    assert line[1]
    log.close()


# ── subscribe ─────────────────────────────────────────────────────────────────────────────────


def test_a_listener_is_called_whenever_there_is_news(place: Place) -> None:
    """Nothing but the listener makes this test look again: one missed call and it fails."""
    news = threading.Event()
    place.target.subscribe(news.set)

    def follow(desired: Desired) -> None:
        while not place.settled(desired):
            place.step()
            assert news.wait(30), "there was news, and nobody said so"
            news.clear()

    for desired in (
        place.desired("demo", {1: 1}, {1: 100}),
        place.desired("demo", {1: 2}, {1: 100}),
        place.desired("demo", {1: 2}, {}),
        place.desired("demo", {}, {}),
    ):
        news.clear()
        place.target.apply(desired)
        follow(desired)


# ── requests, where they can be made ──────────────────────────────────────────────────────────


def test_a_reached_replica_answers_before_it_has_traffic(answering: Place) -> None:
    answering.serve("demo", {1: 2})
    for one in answering.of("demo", 1):
        with answering.target.reach("demo", 1, one.id) as address:
            assert ask(address.http, "demo").data == (2 * NO_WAIT,)
    assert ask(answering.target.observe("demo").endpoint.http, "demo").status == 404


def test_traffic_goes_by_the_split_and_by_the_header(answering: Place) -> None:
    answering.serve("one", {1: 1, 2: 1, 3: 1}, {1: 50, 2: 50, 3: 0})
    answering.serve("other", {4: 1}, {4: 100})
    one = answering.target.observe("one").endpoint.http
    other = answering.target.observe("other").endpoint.http
    answers = {ask(one, "one") for _ in range(40)}
    assert answers == {Answer(200, "1", (2 * NO_WAIT,)), Answer(200, "2", (3 * NO_WAIT,))}
    assert ask(one, "one", cloche_revision="3") == Answer(200, "3", (4 * NO_WAIT,))
    assert ask(other, "other") == Answer(200, "4", (5 * NO_WAIT,))
    answering.serve("other", {})
    assert ask(other, "other").status == 404
    answering.serve("one", {1: 1, 2: 1, 3: 1}, {2: 100})
    assert {ask(one, "one").revision for _ in range(40)} == {"2"}
    assert ask(one, "one", cloche_revision="3").status == 404
