"""The routes that services have in common lead where routes of their own would."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from route_tables import (
    call_leads_to,
    leads_to,
    matches,
    routes_of,
    seen_path,
    service,
    specified,
)

from cloche.settings import Settings
from cloche.targets.local.envoy import clusters, routes
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)

SETTINGS = Settings(home=Path("/nowhere"))


def test_the_tables_of_many_services_stay_small() -> None:
    state = GatewayState(tuple(service(f"service-{number}") for number in range(100)))
    for table in (routes.http_table(state, SETTINGS), routes.grpc_table(state, SETTINGS)):
        assert sum(len(host["routes"]) for host in table["virtual_hosts"]) < 30
        assert len(json.dumps(table)) < 100 * 1_500
    # So do those of services that a registry calls otherwise.
    called = tuple(
        dataclasses.replace(each, aliases=(name,), plain=(each.name, name))
        for each in state.services
        for name in [each.name.replace("-", "_")]
    )
    assert len(json.dumps(routes.grpc_table(GatewayState(called), SETTINGS))) < 100 * 3_500
    # A canary adds to them what is its own.
    canary = GatewayState((*state.services, service("canary", weights=(90, 10))))
    assert len(json.dumps(routes.grpc_table(canary, SETTINGS))) < 100 * 1_500 + 40_000


def test_hosts_are_those_of_services_in_any_case_and_with_any_port() -> None:
    table = routes.http_table(GatewayState((service("a"), service("b", "a"))), SETTINGS)
    path = "/v2/models/a/infer"
    for host, found in (
        ("b.localhost", "b.r1.http"), ("B.LocalHost", "b.r1.http"), ("b.localhost:80", "b.r1.http"),
        ("x.localhost", clusters.ANSWERS), ("b.b.localhost", "a.r1.http"),
        ("localhost", "a.r1.http"), ("b.localhost.example", "a.r1.http"),
    ):  # fmt: skip
        # Envoy leaves out the port, and takes no notice of the case, when it looks for a host.
        domain = host.lower().partition(":")[0]
        chosen = next(r for r in routes_of(table, domain) if matches(r, path, {}))
        specifier = chosen["route"]["cluster_specifier_plugin"]
        sent = {":path": path, ":authority": host}
        assert specified(table, specifier, sent) == found, host


NAMES = st.sampled_from(["a", "b", "c", "x-1"])
MODELS = st.sampled_from(["a", "b", "c", "x-1", "M 2", "é"])
REVISIONS = st.lists(
    st.builds(
        RevisionEndpoints,
        st.integers(1, 4),
        st.sampled_from([0, 0, 40, 100]),
        st.just((Endpoint("unix:/a", "unix:/b"),)),
        as_streams=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda revision: revision.revision,
).map(tuple)


@st.composite
def services(draw: st.DrawFn) -> ServiceRoutes:
    models = tuple(draw(st.lists(MODELS, min_size=1, max_size=3, unique=True)))
    aliases = tuple(draw(st.lists(st.sampled_from(["N/a", "b", 'q"\\']), max_size=2, unique=True)))
    plain = tuple(name for name in (*models, *aliases) if draw(st.booleans()))
    return ServiceRoutes(draw(NAMES), models, draw(REVISIONS), plain=plain, aliases=aliases)


STATES = st.lists(services(), max_size=4, unique_by=lambda service: service.name).map(
    lambda services: GatewayState(tuple(services))
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "host": NAMES.map(lambda name: f"{name}.localhost"),
        "cloche-service": NAMES,
        "cloche-revision": st.integers(1, 4).map(str),
    },
)
PATHS = st.tuples(
    st.sampled_from(["a", "b", "c", "x-1", "M%202", "%C3%A9", "N%2Fa", "q%22%5C", "d"]),
    st.sampled_from(["", "/infer", "/infer?x", "/versions/1/ready", "/generate_stream", "/load"]),
).map(lambda parts: f"/v2/models/{parts[0]}{parts[1]}")
CALLS = st.tuples(
    st.sampled_from(["ModelInfer", "ModelStreamInfer", "ModelReady", "ModelStatistics"]),
    st.sampled_from(["a", "b", "c", "x-1", "M 2", "é", "N/a", 'q"\\', "d"]),
)


@settings(max_examples=200)
@given(STATES, st.lists(st.tuples(PATHS, CALLS, REQUESTS), min_size=5, max_size=20))
def test_they_lead_where_routes_of_their_own_would(
    state: GatewayState, requests: list[tuple[str, tuple[str, str], dict[str, str]]]
) -> None:
    limit = SETTINGS.gateway_request_timeout
    own = GatewayState(tuple(dataclasses.replace(each, timeout=limit) for each in state.services))
    http, http_own = (routes.http_table(each, SETTINGS) for each in (state, own))
    grpc, grpc_own = (routes.grpc_table(each, SETTINGS) for each in (state, own))
    models = {each.name: quote(each.models[0], safe="") for each in state.services}
    hosts = {service.host for service in state.services}
    for path, call, sent in requests:
        if "host" in sent and sent["host"] not in hosts:
            sent.pop("host")
        assert leads_to(http, path, sent) == leads_to(http_own, path, sent)
        assert leads_to(grpc, path, sent) == leads_to(grpc_own, path, sent)
        if leads_to(http, path, sent) != {clusters.ANSWERS: 100}:
            assert seen_path(http, path, sent, models) == seen_path(http_own, path, sent, models)
        assert call_leads_to(grpc, *call, sent) == call_leads_to(grpc_own, *call, sent)
