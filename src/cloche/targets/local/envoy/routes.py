"""The two route tables, of HTTP/1.1 and of HTTP/2.

A request passes only if its path *equals* the path of a service, as it was sent. So the gateway
needs no normalisation that could be tricked: `//`, `%2e`, another case or an encoded slash make
another path, which has no route. Methods are left to Triton, where none changes anything.

A name stands in a route only as text that is compared, never in a regular expression: Envoy bounds
the size of those, and refuses a whole table for one that is too long. So the calls of a model are
matched twice, both of which must hold: the model's path is the beginning of the path, and the path
as a whole has the form of a call of some model.

The service follows from, in this order: the host (`NAME.localhost`), the header `cloche-service`,
the model's name in the path or message. A model's name leads to the service that had it first. The
revision follows from the header `cloche-revision`, else from the weights.

A service has routes of its own only where they differ from those of others (see `common_routes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.targets.local.envoy import (
    clusters,
    common_routes,
    grpc_routes,
    renaming,
    revision_routes,
    visitors,
)
from cloche.targets.local.envoy.retries import RETRIES
from cloche.targets.local.envoy.revision_routes import (
    REVISION_HEADER,
    SERVICE_HEADER,
    absent,
    equals,
)
from cloche.targets.local.envoy.services import ANY_HOST, SERVICE_HOSTS, ClusterName

if TYPE_CHECKING:
    from cloche.settings import Settings
    from cloche.targets.local.envoy.common_routes import CommonRoutes
    from cloche.targets.local.envoy.services import GatewayState, ServiceRoutes

Json = dict[str, Any]

HTTP_TABLE = "cloche.http"
GRPC_TABLE = "cloche.grpc"
ROUTES_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

_LARGEST_RETRIED = 2**20
"""Bytes of a request that are buffered for a retry; a larger request is sent once."""
_INFER = "/infer"
_CALL = r"/v2/models/[^/?]+(/versions/{versions})?{call}(\?.*)?"
"""The whole path of a call, with its query: `[^/?]+` is one name, whichever it is."""
_CALLS = (
    ("(/infer|/generate|/ready|/config|/stats)?", False),
    ("/generate_stream", True),
)
"""The end of a call's path, and whether the answer is a stream."""
_INFERENCE = r"/v2/models/[^/?]+/infer"
_INFERENCES = "/(infer|generate|generate_stream)"
_ANY_VERSION = "[1-9][0-9]*"


def http_table(state: GatewayState, settings: Settings) -> Json:
    """Return the routes of HTTP/1.1 requests."""
    common = common_routes.divide(state)
    hosts = _http_hosts(common, settings)
    specifiers = common_routes.http_specifiers(common)
    more = visitors.of_host(settings)
    return _table(HTTP_TABLE, state, hosts, specifiers, more)


def grpc_table(state: GatewayState, settings: Settings) -> Json:
    """Return the routes of HTTP/2 requests: gRPC calls, and all HTTP/1.1 routes."""
    common = common_routes.divide(state)
    calls = grpc_routes.hosts(common, settings)
    hosts = _http_hosts(common, settings)
    specifiers = [
        *common_routes.http_specifiers(common),
        *common_routes.grpc_specifiers(common),
    ]
    both = {domain: [*calls[domain], *routes] for domain, routes in hosts.items()}
    return _table(GRPC_TABLE, state, both, specifiers)


def shares_of(table: Json) -> set[tuple[str, int, int]]:
    """Return the services, revisions and weights of a table."""
    metadata = table.get("metadata", {}).get("filter_metadata", {}).get("cloche", {})
    return {
        (each["service"], int(each["revision"]), int(each["weight"]))
        for each in metadata.get("routes", [])
    }


def clusters_of(table: Json) -> set[str]:
    """Return the names of all clusters in the routes of a table."""
    return {
        str(ClusterName(service, revision, protocol))
        for service, revision, _ in shares_of(table)
        for protocol in clusters.PROTOCOLS
    }


def _table(
    name: str,
    state: GatewayState,
    hosts: dict[str, list[Json]],
    specifiers: list[Json],
    more: Json | None = None,
) -> Json:
    """Return a table of routes by domain; each virtual host has `more`, too."""
    shares = [
        {"service": service.name, "revision": each.revision, "weight": each.weight}
        for service in state.services
        for each in service.revisions
    ]
    return {
        "@type": ROUTES_TYPE,
        "name": name,
        # Read back from the running gateway to see what it serves.
        "metadata": {"filter_metadata": {"cloche": {"routes": shares}}},
        "ignore_port_in_host_matching": True,
        "cluster_specifier_plugins": specifiers,
        "virtual_hosts": [_host(domain, routes) | (more or {}) for domain, routes in hosts.items()],
    }


def _host(domain: str, routes: list[Json]) -> Json:
    return {
        "name": domain,
        "domains": [domain],
        "retry_policy": RETRIES,
        "request_body_buffer_limit": _LARGEST_RETRIED,
        "routes": routes,
    }


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────


def _http_hosts(common: CommonRoutes, settings: Settings) -> dict[str, list[Json]]:
    """Return the routes by domain."""
    by_path = [
        (owner, name, [absent(SERVICE_HEADER)]) for name, owner in common.others_owned.items()
    ]
    by_header = [
        (service, name, [equals(SERVICE_HEADER, service.name)])
        for service in common.others
        for name in service.models
    ]
    infer, calls = _model_routes([*by_path, *by_header], settings)
    common_infer, renamed_calls, common_calls = _common_routes(common, settings)
    hosts = {
        ANY_HOST: [
            *infer,
            *common_infer,
            *calls,
            *renamed_calls,
            *common_calls,
            *_http_answers(),
        ],
        SERVICE_HOSTS: [*common_calls, *_http_answers()],
    }
    for service in sorted(common.others, key=lambda service: service.name):
        infer, calls = _model_routes([(service, name, []) for name in service.models], settings)
        hosts[service.host] = [*infer, *calls, *_http_answers()]
    return hosts


def _common_routes(
    common: CommonRoutes, settings: Settings
) -> tuple[list[Json], list[Json], list[Json]]:
    """Return the routes in common: of inference by the model's name alone, and of all calls.

    The calls by names that the servers do not know come first, apart from the others.
    """

    def to(specifier: str, path: str, *headers: Json, stream: bool = False) -> Json:
        form = {"name": ":path", "string_match": {"safe_regex": {"regex": path}}}
        match = {"prefix": "/v2/models/", "headers": [form, *headers]}
        return {"match": match} | common_routes.to(specifier, settings, stream=stream)

    def all_calls(*headers: Json) -> list[Json]:
        return [
            to(
                common_routes.HTTP_CALLS,
                _CALL.format(versions="1", call=call),
                *headers,
                stream=stream,
            )
            for call, stream in _CALLS
        ]

    if not common.services:
        return [], [], []
    alone = absent(SERVICE_HEADER), absent(REVISION_HEADER)
    infer = [to(common_routes.HTTP_INFERENCE, _INFERENCE, *alone)] if common.owned else []
    if not common.renamed:
        return infer, [], all_calls()
    renamed = renaming.in_path(common.renamed)
    by_name = to(common_routes.HTTP_INFERENCE, _INFERENCE, *alone, renamed)
    filters = renaming.of_paths(common.renamed)
    return (
        [common_routes.with_known_model(by_name), *infer],
        [route | filters for route in all_calls(absent(SERVICE_HEADER), renamed)],
        all_calls(),
    )


def _model_routes(
    models: list[tuple[ServiceRoutes, str, list[Json]]], settings: Settings
) -> tuple[list[Json], list[Json]]:
    """Return the routes of `(service, model, headers that requests must have)`.

    Envoy searches a table from its top, and nearly all traffic is inference: its routes, which are
    returned first, are to come first, as exact paths, which are cheap to compare. The other calls
    share few routes, since the tables of hundreds of services are written, read and compared as a
    whole.
    """
    infer: list[Json] = []
    calls: list[Json] = []
    for service, name, headers in models:
        known = service.server_name(name)
        path = _path_of(name)
        renamed = renaming.of_paths({name: service})
        infer += revision_routes.lacking_sequence(
            service,
            {"path_separated_prefix": path},
            [*headers, _is_call(_INFERENCES, service)],
        )
        infer += revision_routes.by_weight(
            service, "http", {"path": path + _INFER}, headers, settings,
            rewrite=None if known is None else _path_of(known) + _INFER,
        )  # fmt: skip
        for call, stream in _CALLS:
            whole = [*headers, _is_call(call, service)]
            found = revision_routes.routes(
                service, "http", {"path_separated_prefix": path}, whole, settings, stream=stream
            )  # fmt: skip
            calls += [route | renamed for route in found]
    return infer, calls


def _is_call(call: str, service: ServiceRoutes) -> Json:
    """Return a matcher for requests whose whole path is that of a call."""
    pattern = _CALL.format(versions=_ANY_VERSION if service.numbered else "1", call=call)
    return {"name": ":path", "string_match": {"safe_regex": {"regex": pattern}}}


def _path_of(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _http_answers() -> list[Json]:
    return [{"match": {"prefix": "/"}, "route": {"cluster": clusters.ANSWERS}}]
