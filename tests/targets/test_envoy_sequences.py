"""What clusters and routes have for a model with state: as data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cloche.settings import Settings
from cloche.targets.local.envoy import clusters, routes
from cloche.targets.local.envoy.services import (
    ClusterName,
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)
from cloche.targets.local.envoy.switching import decode

SETTINGS = Settings(home=Path("/nowhere"))
Json = dict[str, Any]


def endpoint(at: int) -> Endpoint:
    return Endpoint(f"127.0.0.1:{18000 + at}", f"127.0.0.1:{19000 + at}")


def revision(number: int, replicas: int, *, stateful: bool, weight: int = 100) -> RevisionEndpoints:
    endpoints = tuple(map(endpoint, range(replicas)))
    return RevisionEndpoints(number, weight, endpoints, stateful, stateful and replicas > 1)


def cluster(protocol: str, replicas: int, *, stateful: bool) -> Json:
    name = ClusterName("a", 1, protocol)
    return clusters.cluster(name, "a", revision(1, replicas, stateful=stateful))


def table(protocol: str, *revisions: RevisionEndpoints) -> list[Json]:
    state = GatewayState((ServiceRoutes("a", ("a",), revisions, plain=("a",)),))
    made = routes.grpc_table if protocol == "grpc" else routes.http_table
    return [route for host in made(state, SETTINGS)["virtual_hosts"] for route in host["routes"]]


def refusals(found: list[Json]) -> list[Json]:
    return [route for route in found if "cloche-lacks-sequence" in str(route)]


def to_replicas(found: list[Json]) -> list[Json]:
    return [route for route in found if route["route"].get("cluster") != clusters.ANSWERS]


def filters(made: Json) -> list[str]:
    (options,) = made["typed_extension_protocol_options"].values()
    return [each["name"].rpartition(".")[2] for each in options.get("http_filters", [])]


def policy_of(made: Json) -> str:
    """Return how a cluster chooses a replica; of those with the fewest requests, among whom."""
    if "lb_policy" in made:
        return str(made["lb_policy"])
    (policy,) = made["load_balancing_policy"]["policies"]
    return str(policy["typed_extension_config"]["typed_config"]["selection_method"])


@pytest.mark.parametrize(
    ("stateful", "replicas", "policy", "size", "filtered"),
    [
        (False, 3, "FULL_SCAN", None, []),
        (True, 0, "RING_HASH", 512, []),
        (True, 1, "RING_HASH", 512, []),
        (True, 3, "RING_HASH", 1536, ["lua", "upstream_codec"]),
    ],
)
def test_a_cluster_balances_by_state(
    *, stateful: bool, replicas: int, policy: str, size: int | None, filtered: list[str]
) -> None:
    made = cluster("http", replicas, stateful=stateful)
    ring = made.get("ring_hash_lb_config", {}).get("minimum_ring_size", {}).get("value")
    assert (policy_of(made), ring, filters(made)) == (policy, size, filtered)


def test_a_replica_has_one_place_on_the_rings_of_both_protocols() -> None:
    def places(protocol: str) -> list[str]:
        endpoints = cluster(protocol, 2, stateful=True)["load_assignment"]["endpoints"]
        return [
            each["metadata"]["filter_metadata"]["envoy.lb"]["hash_key"]
            for each in endpoints[0]["lb_endpoints"]
        ]

    assert places("http") == places("grpc") == ["127.0.0.1:18000", "127.0.0.1:18001"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("stateful", "replicas", "hashed", "retried"),
    [
        (False, 3, False, None),
        (True, 1, True, None),
        (True, 2, True, 3),
        (True, 6, True, 11),
    ],
)
def test_routes_go_by_the_header_and_ask_the_other_replicas(
    protocol: str, *, stateful: bool, replicas: int, hashed: bool, retried: int | None
) -> None:
    found = to_replicas(table(protocol, revision(1, replicas, stateful=stateful)))
    assert found
    for route in found:
        action = route["route"]
        assert ("hash_policy" in action) == hashed
        retries = action.get("retry_policy", {})
        assert retries.get("num_retries") == retried
        assert ("retriable-headers" in retries.get("retry_on", "")) == (retried is not None)
        assert ("response_headers_to_remove" in route) == (retried is not None)


@pytest.mark.parametrize("stateful", [False, True])
def test_a_split_goes_by_the_header_too(*, stateful: bool) -> None:
    shares = [revision(number, 1, stateful=stateful, weight=50) for number in (1, 2)]
    splits = [
        route["route"]["weighted_clusters"]
        for route in table("http", *shares)
        if "weighted_clusters" in route["route"]
    ]
    assert splits
    assert all(split.get("use_hash_policy", False) == stateful for split in splits)


def test_what_will_have_more_replicas_is_ready_for_them() -> None:
    one = RevisionEndpoints(1, 100, (endpoint(0),), stateful=True, spread=True)
    assert all("retry_policy" in route["route"] for route in to_replicas(table("http", one)))
    assert refusals(table("http", one))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("revisions", "refused"),
    [
        ([revision(1, 2, stateful=False)], set()),
        ([revision(1, 1, stateful=True)], set()),
        ([revision(1, 2, stateful=True)], {None, "1"}),
        (
            [revision(1, 2, stateful=False), revision(2, 2, stateful=True, weight=0)],
            {"2"},
        ),
        (
            [revision(1, 2, stateful=False, weight=90), revision(2, 2, stateful=True, weight=10)],
            {None, "2"},
        ),
    ],
)
def test_only_what_could_reach_a_wrong_replica_is_refused(
    protocol: str, revisions: list[RevisionEndpoints], refused: set[str | None]
) -> None:
    found = refusals(table(protocol, *revisions))
    matchers = [{each["name"]: each for each in route["match"]["headers"]} for route in found]
    assert all(each["cloche-sequence"]["invert_match"] for each in matchers)
    by = {each["cloche-revision"].get("string_match", {}).get("exact") for each in matchers}
    assert by == refused


def test_what_was_applied_is_read_back() -> None:
    known = RevisionEndpoints(3, 0, decoupled=True, as_streams=True)
    revisions = (revision(1, 2, stateful=True), revision(2, 2, stateful=False), known)
    slow = ServiceRoutes(
        "b", ("m",), revisions, numbered=True, plain=("m", "M"), aliases=("M",), timeout=2.5
    )
    state = GatewayState((ServiceRoutes("a", ("a",), revisions), slow))
    assert decode(asdict(state)) == state


def test_a_refusal_stands_before_the_route_that_it_keeps_from() -> None:
    found = table("http", revision(1, 2, stateful=True))
    first = next(at for at, route in enumerate(found) if route in to_replicas(found))
    assert found[0] in refusals(found)
    assert all(route in refusals(found) for route in found[:first])
