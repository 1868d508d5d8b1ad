from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloche.artifacts import ModelRepository, ReplicaRange, RepositoryMember
from cloche.targets import Placement
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    Route,
    ServiceRoutes,
)
from cloche.targets.local.joining import Placed, gateway_state
from cloche.targets.local.lifecycle import Life, Step
from cloche.targets.local.routing import Routing
from cloche.targets.local.supervised import Record
from fixtures.local import until


def endpoint(port: int) -> Endpoint:
    return Endpoint(f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}")


def placed(
    service: str,
    revision: int,
    *steps: Step,
    models: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    wanted: int | None = None,
    sequence_idle: float | None = None,
) -> Placed:
    first, *others = models or (service,)
    member = RepositoryMember(first, "python", (), (), 0, sequence_idle=sequence_idle)
    repository = ModelRepository(service, "sha256:0", (), (member,), tuple(others))
    replicas = tuple(
        Record(
            f"{service}-r{revision}-{index}",
            "boot",
            Life(step),
            "",
            pid=1,
            addresses=tuple(
                f"127.0.0.1:{revision * 1000 + index * 10 + each}" for each in range(3)
            ),
        )
        for index, step in enumerate(steps)
    )
    count = ReplicaRange.exactly(len(steps) if wanted is None else wanted)
    placement = Placement(service, revision, repository, count, 60.0, aliases=aliases)
    return Placed(placement, replicas)


def test_endpoints_follow_readiness() -> None:
    steps = (Step.STARTING, Step.READY, Step.UNREADY, Step.DRAINING, Step.ENDING)
    state = gateway_state([Route("a", 1, 100)], [placed("a", 1, *steps)])
    assert state.services[0].revisions[0].endpoints == (endpoint(1010),)


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
            ServiceRoutes(
                "a",
                ("a",),
                (RevisionEndpoints(1, 100, (endpoint(1000),)),),
            ),
            ServiceRoutes(
                "b",
                ("b", "b.new", "b.old"),
                (
                    RevisionEndpoints(1, 25, (endpoint(1000),)),
                    RevisionEndpoints(2, 75),
                ),
            ),
        )
    )


@pytest.mark.parametrize(
    ("sequence_idle", "wanted", "ready", "expected"),
    [
        (None, 2, 2, (False, False)),
        (5.0, 1, 0, (True, False)),
        (5.0, 1, 1, (True, False)),
        # It is to have more, or has more still.
        (5.0, 2, 1, (True, True)),
        (5.0, 1, 2, (True, True)),
        (5.0, 2, 2, (True, True)),
    ],
)
def test_a_model_with_state_is_spread_by_what_is_wanted_and_what_is_there(
    sequence_idle: float | None, wanted: int, ready: int, expected: tuple[bool, bool]
) -> None:
    found = placed("a", 1, *[Step.READY] * ready, wanted=wanted, sequence_idle=sequence_idle)
    (revision,) = gateway_state([Route("a", 1, 100)], [found]).services[0].revisions
    assert (revision.stateful, revision.spread) == expected


@pytest.mark.parametrize(
    ("models", "decoupled"), [((False,), False), ((True,), True), ((True, False), False)]
)
def test_a_revision_refuses_single_calls_only_if_all_its_models_answer_with_streams(
    models: tuple[bool, ...], decoupled: bool
) -> None:
    found = placed("a", 1, Step.READY)
    repository = found.placement.repository
    members = tuple(replace(repository.main, decoupled=each) for each in models)
    placement = replace(found.placement, repository=replace(repository, members=members))
    told = replace(found, placement=placement, as_streams=True)
    (revision,) = gateway_state([Route("a", 1, 100)], [told]).services[0].revisions
    assert (revision.decoupled, revision.as_streams) == (decoupled, True)


def test_what_a_registry_calls_a_model_is_a_name_of_it_unless_another_model_is_called_so() -> None:
    routes = [Route("a-b", 1, 50), Route("a-b", 2, 50), Route("c", 1, 100)]
    state = gateway_state(
        routes,
        [
            placed("a-b", 1, Step.READY, aliases=("a_b",)),
            placed("a-b", 2, Step.READY, aliases=("a_b", "A.B")),
            placed("c", 1, Step.READY, models=("c", "inner"), aliases=("inner",)),
        ],
    )
    assert [service.aliases for service in state.services] == [("a_b", "A.B"), ()]


class ObedientGateway:
    """Serves what it was last told."""

    held: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
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
    running = frozenset({1})
    routing = Routing(
        ObedientGateway(),
        tmp_path / "routes.json",
        tmp_path / "addresses.json",
        placed=lambda: [placed("a", 1, Step.READY)],
        running=lambda: running,
        changed=lambda: None,
    )
    routing.route("a", {1: 100})
    routing.start()
    try:
        until(lambda: routing.seen_split("a") == {1: 100})
        running = frozenset[int]()
        routing.wake()
        until(lambda: routing.seen_split("a") == {})
        assert routing.wanted_split("a") == {1: 100}
        running = frozenset({2})
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
        tmp_path / "addresses.json",
        placed=look,
        running=lambda: frozenset({1}),
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
            tmp_path / "addresses.json",
            placed=list,
            running=frozenset,
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


def test_a_name_leads_to_who_had_it_first_also_after_a_restart(tmp_path: Path) -> None:
    here = [placed("team-b", 1, Step.READY, models=("prep", "x"))]

    def opened() -> tuple[Routing, ObedientGateway]:
        gateway = ObedientGateway()
        routing = Routing(
            gateway,
            tmp_path / "routes.json",
            tmp_path / "addresses.json",
            placed=lambda: here,
            running=lambda: frozenset({1}),
            changed=lambda: None,
        )
        return routing, gateway

    def names(gateway: ObedientGateway) -> dict[str, tuple[str, ...]]:
        return {service.name: service.plain for service in gateway.state.services}

    first, gateway = opened()
    first.route("team-b", {1: 100})
    first.start()
    try:
        until(lambda: names(gateway) == {"team-b": ("prep", "x")})
        here.append(placed("team-a", 1, Step.READY, models=("prep",), aliases=("x", "own")))
        first.route("team-a", {1: 100})
        until(lambda: names(gateway) == {"team-a": ("own",), "team-b": ("prep", "x")})
    finally:
        first.close()

    first_of_all = here.pop(0)
    second, gateway = opened()
    second.start()
    try:
        until(lambda: names(gateway) == {"team-a": ("own",)})  # team-b is not there yet
        assert second.owner("prep") == "team-b"
        here.append(first_of_all)
        second.wake()
        until(lambda: names(gateway) == {"team-a": ("own",), "team-b": ("prep", "x")})
        second.route("team-b", {})  # it is deleted
        until(lambda: names(gateway) == {"team-a": ("prep", "x", "own")})
        assert second.owner("x") == "team-a"
    finally:
        second.close()


def test_what_the_gateway_refuses_is_known_and_waited_for_no_longer(tmp_path: Path) -> None:
    changes: list[str] = []
    gateway = ObedientGateway()
    gateway.refused = {"b": "because"}
    routing = Routing(
        gateway,
        tmp_path / "routes.json",
        tmp_path / "addresses.json",
        placed=lambda: [placed("a", 1, Step.READY), placed("b", 1, Step.READY)],
        running=lambda: frozenset({1}),
        changed=lambda: changes.append("changed"),
    )
    routing.route("a", {1: 100})
    routing.route("b", {1: 100})
    routing.start()
    try:
        until(lambda: routing.refused == {"b": "because"})
        gateway.refused = {}
        routing.route("b", {1: 50})
        until(lambda: routing.refused == {})
        assert changes
    finally:
        routing.close()


def test_a_gateway_that_was_started_anew_is_told_again(tmp_path: Path) -> None:
    gateway, runs = ObedientGateway(), frozenset({1})
    routing = Routing(
        gateway,
        tmp_path / "routes.json",
        tmp_path / "addresses.json",
        placed=lambda: [placed("a", 1, Step.READY)],
        running=lambda: runs,
        changed=lambda: None,
    )
    routing.route("a", {1: 100})
    routing.start()
    try:
        until(lambda: routing.seen_split("a") == {1: 100})
        told = len(gateway.told)
        runs = frozenset()
        routing.wake()
        until(lambda: routing.seen_split("a") == {})
        for started in ({2}, {2, 3}):  # then a second process beside it
            told, runs = len(gateway.told), frozenset(started)
            routing.wake()
            until(lambda: len(gateway.told) > told)  # noqa: B023
    finally:
        routing.close()
