"""What every target keeps, asked of each implementation with real servers."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cloche.artifacts import ModelRepository
from cloche.errors import ClocheError
from cloche.targets.target import Observation, Placement, Replica, ReplicaPhase, Route, Target
from fixtures_local import CRASHING, LocalHome, until

Answer = tuple[int, str | None, list[float]]
NO_WAIT = 100.0
"""The model waits for as many seconds as it is told, up to 30."""


@dataclass
class Place:
    """An empty target, and how to make what runs there."""

    target: Target
    repository: Callable[..., ModelRepository]
    another: Callable[[], Target]
    """Lets go of the target, as when Cloche ends, and returns a new object over the same place."""


@pytest.fixture(params=["local"])
def place(local_home: LocalHome, local_target: Callable[[], Any]) -> Place:
    target = local_target()
    target.start()
    current = target

    def another() -> Target:
        nonlocal current
        current.close()
        current = local_target()
        current.start()
        return current

    return Place(target, local_home.repository, another)


def ready(target: Target, service: str, revision: int) -> list[Replica]:
    return [
        one
        for one in target.observe().replicas
        if (one.service, one.revision, one.phase) == (service, revision, ReplicaPhase.READY)
    ]


def serve(place: Place, service: str, revision: int, *, replicas: int = 1, factor: int = 2) -> None:
    repository = place.repository(service, factor=factor)
    place.target.place(Placement(service, revision, repository, replicas))
    until(lambda: len(ready(place.target, service, revision)) == replicas)


def route(target: Target, *routes: Route) -> None:
    target.route(routes)
    until(lambda: target.observe().routes == routes)


def ask(base: str, service: str, x: float = NO_WAIT, **headers: str) -> Answer:
    """Return status, revision and answer of one inference."""
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [x]}
    request = urllib.request.Request(
        f"{base}/v2/models/{service}/infer",
        data=json.dumps({"inputs": [tensor]}).encode(),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            output = json.load(response)["outputs"][0]["data"]
            return response.status, response.headers["cloche-revision"], output
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None, []


def pids(observation: Observation) -> dict[str, int | None]:
    return {one.id: one.pid for one in observation.replicas}


def test_an_empty_target(place: Place) -> None:
    until(lambda: place.target.observe().gateway.ready)
    seen = place.target.observe()
    assert (seen.replicas, seen.routes) == ((), ())
    assert ask(seen.gateway.http, "nothing")[0] == 404
    place.target.remove("nothing", 1)
    place.target.route([])
    assert list(place.target.logs("nothing", None, lines=5, follow=False)) == []


def test_replicas_come_up_and_answer_by_themselves_before_they_have_a_route(place: Place) -> None:
    place.target.place(Placement("demo", 1, place.repository("demo"), 2))
    first = place.target.observe().replicas
    assert {one.id for one in first} == {"demo-r1-0", "demo-r1-1"}
    assert {one.phase for one in first} == {ReplicaPhase.STARTING}
    assert all(one.detail for one in first)
    until(lambda: len(ready(place.target, "demo", 1)) == 2)
    seen = place.target.observe()
    for replica in seen.replicas:
        assert replica.url is not None
        assert replica.grpc is not None
        assert (replica.detail, replica.restarts) == (None, 0)
        assert ask(replica.url, "demo") == (200, None, [2 * NO_WAIT])
    assert ask(seen.gateway.http, "demo")[0] == 404
    place.target.place(Placement("demo", 1, place.repository("demo"), 2))
    assert pids(place.target.observe()) == pids(seen)
    named = {name for name, _ in place.target.logs("demo", 1, lines=3, follow=False)}
    assert named == {"demo-r1-0", "demo-r1-1"}


def test_services_and_revisions_live_side_by_side(place: Place) -> None:
    serve(place, "one", 1, factor=2)
    serve(place, "one", 2, factor=3)
    serve(place, "other", 1, factor=5)
    route(place.target, Route("one", 1, 100), Route("one", 2, 0), Route("other", 1, 100))
    base = place.target.observe().gateway.http
    assert ask(base, "one") == (200, "1", [2 * NO_WAIT])
    assert ask(base, "one", cloche_revision="2") == (200, "2", [3 * NO_WAIT])
    assert ask(base, "other") == (200, "1", [5 * NO_WAIT])
    place.target.remove("other", 1)
    route(place.target, Route("one", 1, 100), Route("one", 2, 0))
    until(lambda: not [one for one in place.target.observe().replicas if one.service == "other"])
    assert ask(base, "other")[0] == 404
    assert ask(base, "one") == (200, "1", [2 * NO_WAIT])


def test_no_request_is_lost_while_revisions_and_replicas_change(place: Place) -> None:
    serve(place, "demo", 1, replicas=2, factor=2)
    route(place.target, Route("demo", 1, 100))
    base = place.target.observe().gateway.http
    answers: list[Answer] = []
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            answers.append(ask(base, "demo", 0.02))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        serve(place, "demo", 2, replicas=1, factor=3)
        route(place.target, Route("demo", 2, 100))
        place.target.remove("demo", 1)
        until(lambda: len(place.target.observe().replicas) == 1)
        serve(place, "demo", 2, replicas=2, factor=3)
        serve(place, "demo", 2, replicas=1, factor=3)
        until(lambda: len(place.target.observe().replicas) == 1)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert {status for status, _, _ in answers} == {200}
    assert {revision for _, revision, _ in answers} == {"1", "2"}
    assert answers[-1][1] == "2"


def test_a_stopped_replica_finishes_the_request_that_it_has(place: Place) -> None:
    serve(place, "demo", 1)
    route(place.target, Route("demo", 1, 100))
    base = place.target.observe().gateway.http
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(ask(base, "demo", 2.0)))
    thread.start()
    until(lambda: ("demo-r1-0", "taken") in place.target.logs("demo", 1, lines=5, follow=False))
    place.target.remove("demo", 1)
    until(lambda: place.target.observe().replicas[0].phase is ReplicaPhase.STOPPING)
    thread.join()
    assert answers == [(200, "1", [4.0])]
    until(lambda: place.target.observe().replicas == ())


def test_a_revision_that_cannot_run_fails_alone_and_says_why(place: Place) -> None:
    serve(place, "good", 1)
    place.target.place(Placement("bad", 1, place.repository("bad", code=CRASHING), 1))

    def bad() -> Replica:
        return next(one for one in place.target.observe().replicas if one.service == "bad")

    until(lambda: bad().phase is ReplicaPhase.FAILED, 60)
    assert "third time in a row" in (bad().detail or "")
    assert bad().last_log
    assert (bad().url, bad().pid) == (None, None)
    assert len(ready(place.target, "good", 1)) == 1
    place.target.remove("bad", 1)
    until(lambda: len(place.target.observe().replicas) == 1)


def test_a_revision_whose_files_are_missing_is_refused(place: Place) -> None:
    from dataclasses import replace

    repository = replace(place.repository("demo"), digest="sha256:" + "0" * 64)
    with pytest.raises(ClocheError):
        place.target.place(Placement("demo", 1, repository, 1))
    assert place.target.observe().replicas == ()


def test_a_new_object_adopts_what_runs(place: Place) -> None:
    serve(place, "demo", 1, replicas=2)
    route(place.target, Route("demo", 1, 100))
    before = place.target.observe()
    target = place.another()
    until(lambda: target.observe().routes == before.routes)
    assert pids(target.observe()) == pids(before)
    assert target.observe().gateway.pid == before.gateway.pid
    assert ask(before.gateway.http, "demo") == (200, "1", [2 * NO_WAIT])
    target.down()
    assert (target.observe().replicas, target.observe().routes) == ((), ())
    with pytest.raises(urllib.error.URLError):
        ask(before.gateway.http, "demo")
    target.down()
