"""What the local target promises beyond the contract: its processes, and every request."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from cloche.artifacts import Lock
from cloche.errors import ClocheError
from cloche.targets import ApplyError, Desired, ReplicaPhase
from fixtures.asking import NO_WAIT, Answer, Load, ask
from fixtures.local import DOUBLING, until
from fixtures.places import LocalPlace

LOADING = DOUBLING.replace(
    "    def execute", "    def initialize(self, args):\n        time.sleep(3)\n\n    def execute"
)
"""Takes three seconds to load."""


def pids(place: LocalPlace) -> dict[str, int | None]:
    return {one.id: one.pid for one in place.target.replicas()}


def test_replicas_are_processes_with_names_and_addresses_of_their_own(
    local_place: LocalPlace,
) -> None:
    place = local_place
    assert ask(place.gateway, "nothing").status == 404
    desired = place.serve("demo", {1: 2})
    seen = place.of("demo", 1)
    assert [one.id for one in seen] == ["demo-r1-0", "demo-r1-1"]
    for replica in seen:
        assert None not in (replica.pid, replica.grpc, replica.url)
        assert ask(replica.url, "demo") == Answer(200, None, (2 * NO_WAIT,))
    assert ask(place.gateway, "demo").status == 404
    place.target.apply(desired)
    assert place.of("demo", 1) == seen
    named = {name for name, _ in place.target.logs("demo", 1, lines=3, follow=False)}
    assert named == {"demo-r1-0", "demo-r1-1"}


def test_a_difference_is_said_in_words(local_place: LocalPlace) -> None:
    place = local_place

    def words(desired: Desired) -> list[tuple[int | None, str]]:
        return [(change.revision, change.what) for change in place.target.diff(desired)]

    desired = place.desired("demo", {1: 2}, {1: 100})
    assert words(desired) == [(1, "start 2 replicas"), (None, "route r1 100 %")]
    place.target.apply(desired)
    place.until(lambda: place.settled(desired))
    patient = replace(desired.placements[0], start_limit=300.0)
    assert words(replace(desired, placements=(patient,))) == [(1, "change the start limit")]
    one = place.placement("demo", 1, 1, start_limit=300.0)
    assert words(Desired("demo", (one, place.placement("demo", 2)), {1: 90, 2: 10})) == [
        (1, "stop 1 replica, change the start limit"),
        (2, "start 1 replica"),
        (None, "route r1 90 %, r2 10 %"),
    ]
    assert words(Desired("demo")) == [(1, "stop"), (None, "route nothing")]


def test_no_request_is_lost_while_revisions_and_replicas_change(local_place: LocalPlace) -> None:
    place = local_place
    place.serve("demo", {1: 2}, {1: 100})
    base = place.gateway
    with Load(lambda: ask(base, "demo", 0.02)) as load:
        place.serve("demo", {1: 2, 2: 1}, {1: 100})
        place.serve("demo", {2: 1}, {2: 100})
        place.serve("demo", {2: 2}, {2: 100})
        place.serve("demo", {2: 1}, {2: 100})
        load.more()
    assert load.statuses == {200}, load.lost
    assert {answer.revision for answer in load.answers} == {"1", "2"}
    assert load.answers[-1].revision == "2"


def test_no_request_is_lost_when_the_next_revision_is_not_ready_yet(
    local_place: LocalPlace,
) -> None:
    place = local_place
    place.serve("demo", {1: 1}, {1: 100})
    base = place.gateway
    with Load(lambda: ask(base, "demo", 0.02)) as load:
        place.serve("demo", {2: 1}, {2: 100})
        load.more()
    assert load.statuses == {200}, load.lost
    assert load.answers[-1].revision == "2"


def test_a_stopped_replica_finishes_the_request_that_it_has(local_place: LocalPlace) -> None:
    place = local_place
    place.serve("demo", {1: 1}, {1: 100})
    base = place.gateway
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(ask(base, "demo", 12.0)))
    thread.start()  # it takes longer than a busy disk does for the routes
    until(lambda: ("demo-r1-0", "taken") in place.target.logs("demo", 1, lines=5, follow=False))
    place.target.apply(Desired("demo"))
    until(lambda: place.of("demo", 1)[0].phase is ReplicaPhase.STOPPING)
    until(lambda: ask(base, "demo").status == 404)
    assert answers == []
    thread.join()
    assert answers == [Answer(200, "1", (24.0,))]
    until(lambda: place.target.observe("demo").empty)


def test_a_revision_that_cannot_run_says_how_it_ended(local_place: LocalPlace) -> None:
    place = local_place
    place.serve("good", {1: 1})
    bad = place.placement("bad", 1, repository=place.broken("bad", 1))
    place.target.apply(Desired("bad", (bad,)))
    place.until(lambda: place.of("bad", 1)[0].phase is ReplicaPhase.FAILED)
    failed = place.of("bad", 1)[0]
    assert "third time in a row" in (failed.detail or "")
    assert failed.last_log
    assert (failed.url, failed.grpc, failed.pid) == (None, None, None)
    assert [one.phase for one in place.of("good", 1)] == [ReplicaPhase.READY]
    place.target.apply(Desired("bad"))
    until(lambda: list(pids(place)) == ["good-r1-0"])


def test_a_longer_start_limit_reaches_replicas_that_are_starting(local_place: LocalPlace) -> None:
    place = local_place
    slow = place.home.repository("slow", code=LOADING)
    first = place.placement("slow", 1, repository=slow, start_limit=2.0)
    never = place.placement("slow", 2, repository=slow, start_limit=1.0)
    place.target.apply(Desired("slow", (first, never)))
    place.target.apply(Desired("slow", (replace(first, start_limit=120.0), never)))
    place.until(lambda: place.of("slow", 2)[0].phase is ReplicaPhase.FAILED)
    assert place.of("slow", 2)[0].detail == "It was not ready within 1 seconds of its start."
    place.until(lambda: place.of("slow", 1)[0].phase is ReplicaPhase.READY)
    assert place.of("slow", 1)[0].restarts == 0


def test_a_new_object_adopts_the_processes(local_place: LocalPlace) -> None:
    place = local_place
    desired = place.serve("demo", {1: 2}, {1: 100})
    before, gateway = pids(place), place.target.gateway()
    target = place.another("demo")
    place.until(lambda: place.settled(desired))
    assert (pids(place), target.gateway().pid) == (before, gateway.pid)
    assert ask(gateway.http, "demo") == Answer(200, "1", (2 * NO_WAIT,))
    target.down()
    assert ask(gateway.http, "demo").status == 0
    with pytest.raises(ClocheError) as caught:
        target.apply(desired)
    assert caught.value.code == "target.local.not_kept"


def test_a_revision_whose_environment_is_gone_is_refused(local_place: LocalPlace) -> None:
    lock = Lock("sha256:" + "a" * 64, "3.11", "")
    placement = replace(local_place.placement("demo", 1), lock=lock)
    with pytest.raises(ClocheError) as caught:
        local_place.target.admit(Desired("demo", (placement,)))
    assert caught.value.code == "environment.missing"
    assert local_place.target.replicas() == ()


def test_a_disk_that_takes_no_files_is_named_by_revision(local_place: LocalPlace) -> None:
    place = local_place
    folder = place.home.settings.layout.revisions / "demo-r2"
    folder.parent.mkdir(exist_ok=True)
    folder.touch()  # so that no folder of this name can be made
    with pytest.raises(ApplyError) as caught:
        place.target.apply(place.desired("demo", {1: 1, 2: 1}, {1: 100}))
    assert {number: one.code for number, one in caught.value.by_revision.items()} == {
        2: "server.triton.disk"
    }
    rest = place.desired("demo", {1: 1}, {1: 100})
    place.until(lambda: place.settled(rest))
    folder.unlink()
    place.serve("demo", {1: 1, 2: 1}, {1: 100})


def test_a_split_that_cannot_be_written_costs_no_request(local_place: LocalPlace) -> None:
    place = local_place
    place.serve("demo", {1: 1, 2: 1}, {1: 100})
    routes, base = place.home.settings.layout.routes, place.gateway
    routes.unlink()
    routes.mkdir()  # so that no file of this name can be written
    with Load(lambda: ask(base, "demo", 0.02)) as load:
        with pytest.raises(ApplyError) as caught:
            place.target.apply(place.desired("demo", {2: 1}, {2: 100}))
        assert {number: one.code for number, one in caught.value.by_revision.items()} == {
            None: "target.local.disk"
        }
        load.more()
        routes.rmdir()
        place.serve("demo", {2: 1}, {2: 100})
        load.more()
    assert load.statuses == {200}, load.lost
    assert load.answers[-1].revision == "2"
