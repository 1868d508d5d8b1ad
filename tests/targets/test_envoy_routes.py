"""The route tables as data: what leads where, and that nothing leads nowhere."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from route_tables import (
    everyone,
    headers,
    leads_to,
    matches,
    routes_of,
    seen_path,
    service,
    targets,
)

from cloche.settings import Settings
from cloche.targets.local.envoy import clusters, routes
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
    plain_owners,
)

SETTINGS = Settings(home=Path("/nowhere"))


@pytest.mark.parametrize(
    ("services", "owners"),
    [
        ([service("a")], {"a": "a"}),
        ([service("a", "x", "y"), service("b")], {"x": "a", "y": "a", "b": "b"}),
        # Both may have it for a moment while a name passes on.
        ([service("a", "x"), service("b", "x")], {"x": "a"}),
        ([dataclasses.replace(service("a", "x"), plain=()), service("b", "x")], {"x": "b"}),
    ],
)
def test_which_service_a_bare_model_name_means(
    services: list[ServiceRoutes], owners: dict[str, str]
) -> None:
    found = plain_owners(GatewayState(tuple(services)))
    assert {model: owner.name for model, owner in found.items()} == owners


def test_a_name_that_another_service_has_leads_there_and_is_reached_by_header() -> None:
    later = dataclasses.replace(service("b", "x"), plain=())
    table = routes.http_table(GatewayState((service("a", "x"), later)), SETTINGS)
    assert leads_to(table, "/v2/models/x/infer") == {"a.r1.http": 100}
    assert leads_to(table, "/v2/models/x/ready", {"cloche-service": "b"}) == {"b.r1.http": 100}
    assert leads_to(table, "/v2/models/x/infer", {"host": "b.localhost"}) == {"b.r1.http": 100}


def test_a_name_of_a_registry_is_rewritten_to_that_of_the_server() -> None:
    made = dataclasses.replace(service("my-model"), aliases=("My Model",))
    unowned = routes.http_table(GatewayState((made,)), SETTINGS)
    assert leads_to(unowned, "/v2/models/My%20Model/infer") == {clusters.ANSWERS: 100}
    owned = dataclasses.replace(made, plain=("my-model", "My Model"))
    state = GatewayState((owned, service("other")))
    table = routes.http_table(state, SETTINGS)
    for rest in ("", "/infer", "/versions/1/ready", "/generate_stream"):
        assert leads_to(table, f"/v2/models/My%20Model{rest}") == {"my-model.r1.http": 100}
    assert leads_to(table, "/v2/models/My%20Model/load") == {clusters.ANSWERS: 100}
    models = {"my-model": "my-model"}
    for rest in ("", "/infer", "/versions/1/ready", "/config?x", "/generate_stream"):
        seen = seen_path(table, f"/v2/models/My%20Model{rest}", {}, models)
        assert seen == f"/v2/models/my-model{rest}"
    # Only what goes by such a name is touched by a filter.
    for made_table in (table, routes.grpc_table(state, SETTINGS)):
        renaming = [
            route
            for route in everyone(made_table)
            if "filter_context" in json.dumps(route.get("typed_per_filter_config", {}))
        ]
        assert renaming
        assert all("My" in json.dumps(route["match"]) for route in renaming)


def test_inference_stands_first_for_all_services() -> None:
    state = GatewayState((service("a"), service("b", "b", "c"), service("d", weights=(90, 10))))
    paths = [
        route["match"].get("path", "") for route in everyone(routes.http_table(state, SETTINGS))
    ]
    infer = [index for index, path in enumerate(paths) if path.endswith("/infer")]
    assert infer == list(range(len(infer)))


def test_a_canary_shares_by_weight_and_can_be_asked_for() -> None:
    table = routes.http_table(GatewayState((service("a", weights=(90, 10, 0)),)), SETTINGS)
    calls = [
        route
        for route in everyone(table)
        if matches(route, "/v2/models/a/infer")
        and headers(route).get("cloche-service", {}).get("invert_match")
    ]
    assert [targets(route) for route in calls] == [
        {"a.r1.http": 90, "a.r2.http": 10},
        {"a.r1.http": 90, "a.r2.http": 10},
        {"a.r1.http": 100},
        {"a.r2.http": 100},
        {"a.r3.http": 100},
    ]
    asked = [headers(route)["cloche-revision"].get("string_match") for route in calls]
    assert asked == [None, None, {"exact": "1"}, {"exact": "2"}, {"exact": "3"}]


def test_a_service_with_no_weight_has_no_route_for_everyone() -> None:
    table = routes.http_table(GatewayState((service("a", weights=(0,)),)), SETTINGS)
    leading = [route for route in everyone(table) if targets(route) == {"a.r1.http": 100}]
    assert leading
    assert all("string_match" in headers(route)["cloche-revision"] for route in leading)


NAMES_OF_MODELS = [
    "a", "a.b", "A_b", "50%off", "a b", "模型", "x" * 63, "y" * 255, "generate_stream", "versions",
    "infer", "..", "a/b", "a?b", "[a]+", "é" * 40,
]  # fmt: skip


@pytest.mark.parametrize("timeout", [None, 5.0], ids=["in common", "of its own"])
@pytest.mark.parametrize("name", NAMES_OF_MODELS)
@pytest.mark.parametrize(
    ("rest", "leads"),
    [
        ("", True),
        ("?x=/infer", True),
        ("/infer", True),
        ("/infer?x=1", True),
        ("/versions/1", True),
        ("/versions/1/infer", True),
        ("/generate_stream", True),
        ("/generate_stream?x", True),
        ("/versions/1/stats", True),
        ("/versions/2/infer", False),
        ("/versions/01/infer", False),
        ("/load", False),
        ("/infer/", False),
        ("/infer/ready", False),
        ("/", False),
        ("//infer", False),
        ("/Infer", False),
        ("x/infer", False),
        ("%2Finfer", False),
        ("/%69nfer", False),
        ("/../b/infer", False),
        ("/load?/infer", False),
    ],
)
def test_only_whole_paths_of_known_calls_lead_to_a_replica(
    name: str, rest: str, *, leads: bool, timeout: float | None
) -> None:
    first = dataclasses.replace(service("s", name), timeout=timeout)
    state = GatewayState((first, service("t", f"{name}x")))
    table = routes.http_table(state, SETTINGS)
    path = f"/v2/models/{quote(name, safe='')}{rest}"
    if rest == "x/infer":
        assert leads_to(table, path) == {"t.r1.http": 100}
        return
    found = leads_to(table, path)
    assert found == ({"s.r1.http": 100} if leads else {clusters.ANSWERS: 100})
    assert leads_to(table, path, {"host": "s.localhost"}) == found
    assert leads_to(table, path, {"cloche-service": "s", "cloche-revision": "1"}) == found
    assert leads_to(table, path, {"cloche-service": "t"}) == {clusters.ANSWERS: 100}
    assert leads_to(table, path, {"cloche-revision": "2"}) == {clusters.ANSWERS: 100}


@pytest.mark.parametrize(
    "path", ["/v2/repository/models/a/unload", "/v2/models", "/", "/v2/models/"]
)
def test_nothing_else_leads_to_a_replica(path: str) -> None:
    table = routes.http_table(GatewayState((service("a"),)), SETTINGS)
    assert leads_to(table, path) == {clusters.ANSWERS: 100}


def test_no_name_stands_in_a_regular_expression() -> None:
    state = GatewayState((service("a-service", "a-model"),))
    for table in (routes.http_table(state, SETTINGS), routes.grpc_table(state, SETTINGS)):
        for pattern in re.findall(r'"regex": "([^"]*)"', json.dumps(table)):
            assert "a-service" not in pattern
            assert "a-model" not in pattern
            assert len(pattern) < 110, "Envoy bounds what a pattern compiles to"


def test_only_a_stream_may_last() -> None:
    table = routes.http_table(GatewayState((service("generate_stream"),)), SETTINGS)
    lasting = [route for route in everyone(table) if route.get("route", {}).get("timeout") == "0s"]
    base = "/v2/models/generate_stream"
    for path, lasts in (
        (base, False), (f"{base}/infer", False), (f"{base}/generate_stream", True),
        (f"{base}/generate?/generate_stream", False),
    ):  # fmt: skip
        assert any(matches(route, path, {}) for route in lasting) is lasts, path


def test_a_repository_with_versions_of_its_own_answers_for_each() -> None:
    numbered = dataclasses.replace(service("a"), numbered=True)
    table = routes.http_table(GatewayState((numbered,)), SETTINGS)
    for version, leads in (("1", True), ("30", True), ("0", False), ("1x", False), ("", False)):
        path = f"/v2/models/a/versions/{version}/infer"
        assert (leads_to(table, path) == {"a.r1.http": 100}) is leads, version


def test_a_table_says_what_it_was_made_of() -> None:
    state = GatewayState((service("a", weights=(90, 10)), service("b")))
    table = routes.grpc_table(state, SETTINGS)
    assert routes.shares_of(table) == {("a", 1, 90), ("a", 2, 10), ("b", 1, 100)}
    leading = {
        name for host in table["virtual_hosts"] for r in host["routes"] for name in targets(r)
    }
    # The clusters of a service without routes of its own stand in maps and scripts.
    in_common = {"b.r1.http", "b.r1.grpc"}
    assert leading - {clusters.ANSWERS} == routes.clusters_of(table) - in_common


def test_names_are_quoted_as_clients_quote_them() -> None:
    table = routes.http_table(GatewayState((service("a", "my model/é"),)), SETTINGS)
    assert "/v2/models/my%20model%2F%C3%A9/infer" in json.dumps(table)


def test_calls_are_read_by_name_only_where_nothing_else_names_the_service() -> None:
    state = GatewayState((service("a"),))
    table = routes.grpc_table(state, SETTINGS)
    reading = "envoy.filters.http.grpc_field_extraction"
    assert reading not in json.dumps(routes_of(table, "a.localhost"))
    readers = [
        route
        for route in everyone(table)
        if not route.get("typed_per_filter_config", {}).get(reading, {"disabled": True})["disabled"]
    ]
    assert len(readers) == 2
    first = everyone(table).index(readers[0])
    before = everyone(table)[:first]
    assert all(
        "cloche-service" in headers(route) or "filter_state" in route["match"] for route in before
    )


NAMES = st.sampled_from(["a", "b", "c", "x-1", "M_2"])
SERVICES = st.builds(
    ServiceRoutes,
    NAMES,
    st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(
        st.builds(
            RevisionEndpoints,
            st.integers(1, 9),
            st.integers(0, 100),
            st.lists(st.builds(Endpoint, st.integers(1, 9), st.integers(10, 19))).map(tuple),
        ),
        max_size=3,
        unique_by=lambda revision: revision.revision,
    ).map(tuple),
)
STATES = st.lists(SERVICES, max_size=4, unique_by=lambda service: service.name).map(
    lambda services: GatewayState(tuple(services))
)


@settings(max_examples=30)
@given(STATES)
def test_every_route_leads_somewhere_and_only_whole_paths_to_a_replica(state: GatewayState) -> None:
    present = {str(name) for name, _, _ in clusters.clusters_in(state)} | {clusters.ANSWERS}
    for table in (routes.http_table(state, SETTINGS), routes.grpc_table(state, SETTINGS)):
        for host in table["virtual_hosts"]:
            for route in host["routes"]:
                leads_to = set(targets(route))
                assert leads_to <= present
                if leads_to - {clusters.ANSWERS}:
                    whole = headers(route).get(":path", {}).get("string_match", {})
                    assert {"path", "safe_regex"} & (set(route["match"]) | set(whole))
                    assert "prefix" not in route["match"]
            # Whatever is sent, something answers.
            assert targets(host["routes"][-1]) == {clusters.ANSWERS: 100}
            assert host["routes"][-1]["match"] == {"prefix": "/"}
