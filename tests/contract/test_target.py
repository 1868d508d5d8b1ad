"""What every target keeps of what it is told, asked of each kind.

How its replicas are reached is in `test_target_reach`, what its host keeps in `test_target_host`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cloche.artifacts import Operated, ReplicaRange
from cloche.errors import ClocheError
from cloche.servers.triton import TritonServer
from cloche.targets import ApplyError, Desired, ReplicaPhase
from fixtures.places import Place


def test_an_unknown_service_is_empty_and_has_an_endpoint(place: Place) -> None:
    nothing, before = Desired("nothing"), place.writes()
    assert place.target.diff(nothing) == ()
    place.target.apply(nothing)
    assert place.writes() == before
    seen = place.target.observe("nothing")
    assert seen.empty
    assert (seen.service, seen.replicas, dict(seen.split)) == ("nothing", (), {})
    assert seen.endpoint.http.startswith("http://")
    assert seen.endpoint.grpc
    assert list(place.target.logs("nothing", None, lines=5, follow=False)) == []


def test_all_services_share_the_gateway(place: Place) -> None:
    place.until(lambda: place.target.observe("one").endpoint.ready)
    gateway = place.target.gateway()
    assert gateway is not None
    assert (gateway.ready, gateway.detail) == (True, None)
    for service in ("one", "other"):
        endpoint = place.target.observe(service).endpoint
        assert (endpoint.http, endpoint.grpc) == (gateway.http, gateway.grpc)


def test_to_foresee_changes_nothing(place: Place) -> None:
    desired, before = place.desired("demo", {1: 2}), place.writes()
    asked = replace(desired, asked=desired.placements[0].repository)
    assert place.target.foresee(asked) == ()
    assert place.target.compare(asked) == (), "these kinds have no objects of a cluster"
    assert place.target.observe("demo").empty
    assert place.writes() == before


# ── apply and diff ────────────────────────────────────────────────────────────────────────────


def test_replicas_come_up_by_themselves_before_they_have_traffic(place: Place) -> None:
    desired = place.desired("demo", {1: 2})
    place.target.apply(desired)
    first = place.of("demo", 1)
    assert [one.phase for one in first] == [ReplicaPhase.STARTING] * 2
    assert len({one.id for one in first}) == 2
    assert all(one.detail for one in first)
    place.until(lambda: place.settled(desired))
    seen = place.target.observe("demo")
    assert {one.id for one in seen.replicas} == {one.id for one in first}
    for one in seen.replicas:
        assert (one.service, one.revision) == ("demo", 1)
        assert (one.detail, one.restarts, one.last_log) == (None, 0, ())
        assert datetime.fromisoformat(one.since).utcoffset() == timedelta(0)
        assert (one.url or "").startswith(("http://", "unix:/"))
    assert dict(seen.split) == {}


def test_apply_writes_nothing_where_nothing_differs(place: Place) -> None:
    desired = place.desired("demo", {1: 2}, {1: 100})
    assert {change.revision for change in place.target.diff(desired)} == {1, None}
    place.target.apply(desired)
    assert place.target.diff(desired) == (), "what has begun is not begun again"
    place.until(lambda: place.settled(desired))
    before, replicas = place.writes(), place.of("demo", 1)
    place.target.apply(desired)
    assert place.target.diff(desired) == ()
    assert (place.writes(), place.of("demo", 1)) == (before, replicas)


@pytest.mark.parametrize(
    ("replicas", "split", "changed"),
    [
        ({1: 2}, {1: 100}, {1}),
        ({1: 1, 2: 1}, {1: 100}, {2}),
        ({2: 1}, {2: 100}, {1, 2, None}),
        ({1: 1}, {}, {None}),
        ({}, {}, {1, None}),
    ],
)
def test_diff_says_what_apply_does_and_changes_nothing(
    place: Place, replicas: dict[int, int], split: dict[int, int], changed: set[int | None]
) -> None:
    place.serve("demo", {1: 1}, {1: 100})
    before = place.writes(), place.target.observe("demo")
    desired = place.desired("demo", replicas, split)
    changes = place.target.diff(desired)
    assert (place.writes(), place.target.observe("demo")) == before
    assert {change.revision for change in changes} == changed
    assert all(change.what for change in changes)
    place.target.apply(desired)
    assert place.target.diff(desired) == ()
    assert place.writes() != before[0]
    place.until(lambda: place.settled(desired))


def test_more_and_fewer_replicas_of_a_revision(place: Place) -> None:
    place.serve("demo", {1: 1}, {1: 100})
    first = place.of("demo", 1)
    place.serve("demo", {1: 3}, {1: 100})
    more = place.of("demo", 1)
    assert len(more) == 3
    assert first[0] in more
    place.serve("demo", {1: 2}, {1: 100})
    assert len([one for one in place.of("demo", 1) if one in more]) == 2


@pytest.mark.parametrize("count", [1, 2])
def test_a_restart_replaces_each_replica_while_enough_answer(place: Place, count: int) -> None:
    desired = place.serve("demo", {1: count, 2: 1}, {1: 100})
    first, other = place.of("demo", 1), place.of("demo", 2)
    one, two = desired.placements
    asked = replace(desired, placements=(replace(one, restarted_at="2026-01-01"), two))

    def replaced() -> bool:
        place.target.apply(asked)
        assert len(place.target.observe("demo").ready(1)) >= count
        return place.settled(asked) and {each.restarted_at for each in place.of("demo", 1)} == {
            "2026-01-01"
        }

    place.until(replaced)
    now = {each.since for each in place.of("demo", 1)}
    assert place.of("demo", 2) == other, "another revision is left alone"
    assert {each.restarted_at for each in first} == {None}
    before = place.writes()
    place.target.apply(asked)
    assert (place.writes(), place.target.diff(asked)) == (before, ())
    # A home that is taken over knows what it was replaced for.
    place.another("demo").apply(asked)
    place.until(lambda: place.settled(asked))
    assert {each.since for each in place.of("demo", 1)} == now


def test_a_range_runs_its_least_where_nothing_scales(place: Place) -> None:
    desired = place.desired("demo", {1: 1})
    (placed,) = desired.placements
    ranged = replace(desired, placements=(replace(placed, replicas=ReplicaRange(2, 5)),))
    assert not place.target.autoscales
    place.target.admit(ranged)
    place.target.apply(ranged)
    place.until(lambda: place.settled(ranged))


def test_a_rollout_may_leave_a_revision_with_a_share_and_no_replica(place: Place) -> None:
    desired = place.serve("demo", {1: 2}, {1: 100})
    (placed,) = desired.placements
    none = replace(placed, replicas=ReplicaRange.exactly(0), exact=True)
    place.target.apply(replace(desired, placements=(none,)))
    place.until(lambda: place.of("demo", 1) == [])
    assert dict(place.target.observe("demo").split) == {1: 100}
    place.serve("demo", {1: 2}, {1: 100})


def test_a_revision_that_is_not_placed_drains_and_goes(place: Place) -> None:
    place.serve("demo", {1: 1, 2: 1}, {1: 100})
    kept = place.of("demo", 2)
    with place.target.reach("demo", 1):  # so that it cannot have gone before one looks
        place.target.apply(place.desired("demo", {2: 1}, {2: 100}))
        place.until(lambda: place.of("demo", 1)[0].phase is ReplicaPhase.STOPPING)
        assert place.of("demo", 1)[0].detail
    place.until(lambda: place.of("demo", 1) == [])
    place.until(lambda: dict(place.target.observe("demo").split) == {2: 100})
    assert place.of("demo", 2) == kept
    place.target.apply(Desired("demo"))
    place.until(lambda: place.target.observe("demo").empty)


def test_a_revision_that_goes_can_be_placed_again(place: Place) -> None:
    desired = place.serve("demo", {1: 1}, {1: 100})
    with place.target.reach("demo", 1):
        place.target.apply(Desired("demo"))
        assert {change.revision for change in place.target.diff(desired)} == {1, None}
        place.target.apply(desired)
        assert place.target.diff(desired) == ()
    place.until(lambda: place.settled(desired))


def test_the_split_is_of_one_service(place: Place) -> None:
    place.serve("one", {1: 1, 2: 1, 3: 1}, {1: 75, 2: 25, 3: 0})
    place.serve("other", {1: 1}, {1: 100})
    before = place.target.observe("one")
    assert dict(before.split) == {1: 75, 2: 25, 3: 0}
    place.target.apply(Desired("other"))
    place.until(lambda: place.target.observe("other").empty)
    assert place.target.observe("one") == before
    place.serve("one", {1: 1, 2: 1, 3: 1}, {2: 100})
    assert place.of("one", 3)[0] in before.replicas


def test_what_cannot_be_begun_is_named_and_the_rest_is_applied(place: Place) -> None:
    place.serve("demo", {1: 1}, {1: 100})
    good, bad = place.placement("demo", 2, replicas=2), place.placement("demo", 3)
    place.lose(bad.repository)
    desired = Desired("demo", (bad, good), {2: 100})
    with pytest.raises(ApplyError) as caught:
        place.target.apply(desired)
    assert (caught.value.code, set(caught.value.by_revision)) == ("target.apply", {3})
    assert caught.value.errors == tuple(caught.value.by_revision.values())
    assert {change.revision for change in place.target.diff(desired)} == {3}
    rest = Desired("demo", (good,), {2: 100})
    place.until(lambda: place.settled(rest))
    assert place.target.diff(rest) == ()


def test_a_revision_that_cannot_run_fails_alone_and_says_why(place: Place) -> None:
    place.serve("demo", {1: 1}, {1: 100})
    before = place.of("demo", 1)
    bad = place.placement("demo", 2, repository=place.broken("demo", 2))
    desired = Desired("demo", (place.placement("demo", 1), bad), {1: 100})
    place.target.apply(desired)
    place.until(lambda: place.of("demo", 2)[0].phase is ReplicaPhase.FAILED)
    failed = place.of("demo", 2)[0]
    assert failed.detail
    assert failed.last_log
    assert failed.url is None
    assert place.of("demo", 1) == before
    writes = place.writes()
    assert place.target.diff(desired) == ()
    place.target.apply(desired)
    assert (place.writes(), place.of("demo", 2)) == (writes, [failed]), "it is not started again"
    place.serve("demo", {1: 1}, {1: 100})
    assert place.of("demo", 1) == before


def test_services_can_be_applied_from_several_threads_at_once(place: Place) -> None:
    wanted = [place.desired(name, {1: 1}, {1: 100}) for name in ("a", "b", "c")]

    def told(desired: Desired) -> None:
        for _ in range(20):
            place.target.apply(desired)
            assert place.target.diff(desired) == ()
            assert len(place.of(desired.service, 1)) == 1

    with ThreadPoolExecutor() as pool:
        list(pool.map(told, wanted))
    place.until(lambda: all(place.settled(desired) for desired in wanted))


# ── admit ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("replicas", [ReplicaRange(0, 0), ReplicaRange(0, 1)])
@pytest.mark.parametrize("part", ["operated", "placement"])
def test_no_replicas_are_refused(place: Place, replicas: ReplicaRange, part: str) -> None:
    before = place.writes()
    desired = Desired("demo", operated=Operated(replicas=replicas))
    if part == "placement":
        desired = Desired("demo", (replace(place.placement("demo", 1), replicas=replicas),))
    with pytest.raises(ClocheError) as caught:
        place.target.admit(desired)
    assert caught.value.code.endswith(".replicas")
    assert caught.value.hint
    assert (place.writes(), place.target.observe("demo").empty) == (before, True)


@pytest.mark.parametrize("part", ["asked", "placement"])
def test_a_model_for_gpus_is_refused_where_there_is_none(
    place: Place, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TritonServer, "has_gpu", lambda _: False)
    placement = place.placement("demo", 1)
    repository = replace(placement.repository, gpu_models=("scores",))
    placed = (replace(placement, repository=repository),)
    desired = Desired("demo", asked=repository) if part == "asked" else Desired("demo", placed)
    before = place.writes()
    with pytest.raises(ClocheError, match="KIND_GPU") as caught:
        place.target.admit(desired)
    assert caught.value.code.endswith(".gpu")
    assert "KIND_AUTO" in (caught.value.hint or "")
    assert (place.writes(), place.target.observe("demo").empty) == (before, True)


def test_a_revision_whose_files_are_gone_is_refused(place: Place) -> None:
    desired, before = place.desired("demo", {1: 1}, {1: 100}), place.writes()
    place.target.admit(desired)
    place.lose(desired.placements[0].repository)
    with pytest.raises(ClocheError) as caught:
        place.target.admit(desired)
    assert caught.value.code.endswith(".files")
    assert caught.value.where == "demo revision 1"
    assert (place.writes(), place.target.observe("demo").empty) == (before, True)
