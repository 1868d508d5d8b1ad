from __future__ import annotations

from pathlib import Path

from cloche.artifacts import ModelRepository, ReplicaRange, RepositoryMember
from cloche.targets import Placement
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    Route,
    ServiceRoutes,
)
from cloche.targets.local.lifecycle import Life, Step
from cloche.targets.local.routing import Placed, Routing, gateway_state
from cloche.targets.local.supervised import Record
from fixtures.local import until


def placed(service: str, revision: int, *steps: Step, models: tuple[str, ...] = ()) -> Placed:
    first, *others = models or (service,)
    repository = ModelRepository(
        service, "sha256:0", (), (RepositoryMember(first, "python", (), (), 0),), tuple(others)
    )
    replicas = tuple(
        Record(
            f"{service}-r{revision}-{index}",
            "boot",
            Life(step),
            "",
            pid=1,
            ports=(revision * 1000 + index * 10, revision * 1000 + index * 10 + 1, 0),
        )
        for index, step in enumerate(steps)
    )
    count = ReplicaRange.exactly(len(steps))
    return Placed(Placement(service, revision, repository, count, 60.0), replicas)


def test_endpoints_follow_readiness() -> None:
    steps = (Step.STARTING, Step.READY, Step.UNREADY, Step.DRAINING, Step.ENDING)
    state = gateway_state([Route("a", 1, 100)], [placed("a", 1, *steps)])
    assert state.services[0].revisions[0].endpoints == (Endpoint(1010, 1011),)


def test_revisions_share_a_service_and_the_heaviest_names_its_first_model() -> None:
    routes = [Route("b", 2, 75), Route("a", 1, 100), Route("b", 1, 25), Route("c", 1, 100)]
    state = gateway_state(
        routes,
        [
            placed("a", 1, Step.READY),
            placed("b", 1, Step.READY, models=("b", "b.old")),
            placed("b", 2, models=("b", "b.new")),
            placed("d", 1, Step.READY),
        ],
    )
    assert state == GatewayState(
        (
            ServiceRoutes("a", ("a",), (RevisionEndpoints(1, 100, (Endpoint(1000, 1001),)),)),
            ServiceRoutes(
                "b",
                ("b", "b.new", "b.old"),
                (RevisionEndpoints(1, 25, (Endpoint(1000, 1001),)), RevisionEndpoints(2, 75)),
            ),
        )
    )


class ObedientGateway:
    """Serves what it was last told."""

    held: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.state = GatewayState()
        self.told: list[GatewayState] = []

    def apply(self, state: GatewayState) -> ObedientGateway:
        self.state = state
        self.told.append(state)
        return self

    def sweep(self) -> tuple[str, ...]:
        return ()

    def seen_routes(self) -> tuple[Route, ...]:
        return tuple(
            Route(service.name, revision.revision, revision.weight)
            for service in self.state.services
            for revision in service.revisions
        )

    def is_done_with(self, endpoint: Endpoint) -> bool:
        return True


def test_nothing_is_known_to_be_served_while_no_gateway_runs(tmp_path: Path) -> None:
    running = True
    routing = Routing(
        ObedientGateway(),
        tmp_path / "routes.json",
        placed=lambda: [placed("a", 1, Step.READY)],
        running=lambda: running,
        changed=lambda: None,
    )
    routing.route("a", {1: 100})
    routing.start()
    try:
        until(lambda: routing.seen_split("a") == {1: 100})
        running = False
        routing.wake()
        until(lambda: routing.seen_split("a") == {})
        assert routing.wanted_split("a") == {1: 100}
        running = True
        routing.wake()
        until(lambda: routing.seen_split("a") == {1: 100})
    finally:
        routing.close()


def test_routes_are_never_joined_with_replicas_that_were_stopped_after_they_changed(
    tmp_path: Path,
) -> None:
    gateway = ObedientGateway()
    looks = 0

    def look() -> list[Placed]:
        nonlocal looks
        looks += 1
        if looks == 1:
            return [placed("a", 1, Step.READY), placed("a", 2, Step.READY)]
        if looks == 2:  # between its look at the routes and this one
            routing.route("a", {2: 100})
        return [placed("a", 1, Step.DRAINING), placed("a", 2, Step.READY)]

    routing = Routing(
        gateway,
        tmp_path / "routes.json",
        placed=look,
        running=lambda: True,
        changed=lambda: None,
    )
    routing.route("a", {1: 100})
    routing.start()
    try:
        until(lambda: routing.seen_split("a") == {1: 100})
        routing.wake()
        until(lambda: routing.seen_split("a") == {2: 100})
    finally:
        routing.close()
    revisions = [service.revisions for state in gateway.told for service in state.services]
    assert all(revision.endpoints for each in revisions for revision in each)


def test_a_split_is_kept_and_is_of_its_service_alone(tmp_path: Path) -> None:
    def opened() -> Routing:
        return Routing(
            ObedientGateway(),
            tmp_path / "routes.json",
            placed=list,
            running=lambda: False,
            changed=lambda: None,
        )

    first = opened()
    first.route("a", {2: 10, 1: 90})
    first.route("b", {7: 100})
    written = (tmp_path / "routes.json").stat()
    first.route("a", {1: 90, 2: 10})
    assert (tmp_path / "routes.json").stat() == written
    second = opened()
    assert (second.wanted_split("a"), second.wanted_split("b")) == ({1: 90, 2: 10}, {7: 100})
    second.route("a", {})
    assert (second.wanted_split("a"), second.wanted_split("b")) == ({}, {7: 100})
    second.keep_only(("a",))
    assert opened().wanted_split("b") == {}
