"""Which request goes where: the two route tables, of HTTP/1.1 and of HTTP/2.

A request passes only when its path *equals* one that a service serves, as it was sent. So no
normalisation is needed, and none can be tricked: `//`, `%2e`, another case or an encoded slash make
another path, which nothing serves. Methods are left to Triton: none changes anything there.

What decides the service, first to last: the host (`NAME.localhost`), the header `cloche-service`,
the model's name in the path or message. What decides the revision: the header `cloche-revision`,
else the weights.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.targets.local.envoy import clusters, protobuf, replies, revisions
from cloche.targets.local.envoy.revisions import SERVICE_HEADER, absent, equals, present
from cloche.targets.local.envoy.services import ClusterName, model_owners

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.settings import Settings
    from cloche.targets.local.envoy.services import GatewayState, ServiceRoutes

Json = dict[str, Any]

HTTP_TABLE = "cloche.http"
GRPC_TABLE = "cloche.grpc"
ROUTES_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
MODEL_STATE = "cloche.model"
"""Where the gateway keeps the model's name of a call's first message, as JSON: `["digits"]`."""
MODEL_HEADER = "cloche-model-of-message"
"""Tells the gateway's own answers about a name that no route has."""

_FILTER_TYPE = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
_LARGEST_RETRIED = 2**20
"""Bytes of a request that are kept so that it can be sent again; a larger one is sent once."""
_STREAM_CALL = f"/{protobuf.SERVICE}/ModelStreamInfer"
_UNARY_CALLS = re.escape(f"/{protobuf.SERVICE}/") + "({})".format(
    "|".join(call for call in sorted(protobuf.NAME_FIELDS) if call != "ModelStreamInfer")
)
_INVALID_ARGUMENT: Json = {
    "response_headers_to_add": [{"header": {"key": "grpc-status", "value": "3"}}]
}
_SERVER_CALLS = ("ServerLive", "ServerReady", "ServerMetadata")
_INFER = "/infer"
_CALLS = (
    ("(/versions/{})?(/infer|/generate|/ready|/config|/stats)?", False),
    ("(/versions/{})?/generate_stream", True),
)
"""What follows a model's name, as a pattern of its versions, and whether the answer is a stream."""
_ANY_VERSION = "[1-9][0-9]*"


def http_table(state: GatewayState, settings: Settings) -> Json:
    """Return the routes of HTTP/1.1 requests."""
    everyone, hosts = _http_routes(state, settings)
    return _table(HTTP_TABLE, state, everyone, hosts)


def grpc_table(state: GatewayState, settings: Settings) -> Json:
    """Return the routes of HTTP/2 requests: gRPC calls, and what passes over HTTP/1.1 too."""
    everyone, hosts = _http_routes(state, settings)
    calls = _only_grpc(_grpc_routes_of_everyone(state, settings))
    return _table(
        GRPC_TABLE,
        state,
        [*calls, *everyone],
        {
            service.name: [
                *_only_grpc([*_grpc_routes_of(service, settings, {}, []), *_grpc_answers()]),
                *hosts[service.name],
            ]
            for service in state.services
        },
    )


def shares_of(table: Json) -> set[tuple[str, int, int]]:
    """Return the services, revisions and weights that a table was made of."""
    metadata = table.get("metadata", {}).get("filter_metadata", {}).get("cloche", {})
    return {
        (each["service"], int(each["revision"]), int(each["weight"]))
        for each in metadata.get("routes", [])
    }


def clusters_of(table: Json) -> set[str]:
    """Return the names of all clusters that a table leads to."""
    return {
        str(ClusterName(service, revision, protocol))
        for service, revision, _ in shares_of(table)
        for protocol in clusters.PROTOCOLS
    }


def _table(
    name: str, state: GatewayState, everyone: list[Json], hosts: dict[str, list[Json]]
) -> Json:
    shares = [
        {"service": service.name, "revision": each.revision, "weight": each.weight}
        for service in state.services
        for each in service.revisions
    ]
    return {
        "@type": ROUTES_TYPE,
        "name": name,
        # Read back from the running gateway: what it serves, in Cloche's own words.
        "metadata": {"filter_metadata": {"cloche": {"routes": shares}}},
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            _host("everyone", "*", everyone),
            *(
                _host(service, f"{service}.localhost", routes)
                for service, routes in sorted(hosts.items())
            ),
        ],
    }


def _host(name: str, domain: str, routes: list[Json]) -> Json:
    return {
        "name": name,
        "domains": [domain],
        "retry_policy": revisions.RETRIES,
        "request_body_buffer_limit": _LARGEST_RETRIED,
        "routes": routes,
    }


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────


def _http_routes(
    state: GatewayState, settings: Settings
) -> tuple[list[Json], dict[str, list[Json]]]:
    """Return the routes under any host, and those under each service's own."""
    owners = model_owners(state)
    bare = {"headers": [absent(SERVICE_HEADER)]}
    by_path = [(owner, name, bare["headers"]) for name, owner in sorted(owners.items()) if owner]
    by_header = [
        (service, name, [equals(SERVICE_HEADER, service.name)])
        for service in state.services
        for name in service.models
    ]
    shared = [name for name, owner in sorted(owners.items()) if owner is None]
    everyone = [
        *_model_routes([*by_path, *by_header], settings),
        *(
            _ambiguous(
                name, state, {"safe_regex": {"regex": re.escape(_path_of(name)) + "(/.*)?"}} | bare
            )
            for name in shared
        ),
        *_http_answers(),
    ]
    hosts = {
        service.name: [
            *_model_routes([(service, name, []) for name in service.models], settings),
            *_http_answers(),
        ]
        for service in state.services
    }
    return everyone, hosts


def _model_routes(
    models: list[tuple[ServiceRoutes, str, list[Json]]], settings: Settings
) -> list[Json]:
    """Return the routes of some models, each the only meaning of its name under some headers.

    A table is searched from its top, and inference is nearly all of the traffic: it is first
    for every model, in a form that is cheap to pass by. The rest is few routes rather than quick
    ones, since the tables of hundreds of services are written, read and compared as a whole.
    """
    infer = [
        route
        for service, name, headers in models
        for route in revisions.by_weight(
            service, "http", {"path": _path_of(name) + _INFER}, headers, settings
        )
    ]
    calls = [
        route
        for service, name, headers in models
        for versions in [_ANY_VERSION if service.numbered else "1"]
        for pattern, stream in _CALLS
        for route in revisions.routes(
            service,
            "http",
            {"safe_regex": {"regex": re.escape(_path_of(name)) + pattern.format(versions)}},
            headers,
            settings,
            stream=stream,
        )
    ]
    return [*infer, *calls]


def _ambiguous(name: str, state: GatewayState, match: Json) -> Json:
    """Return the route of a model that several services have, named by its name alone."""
    having = ", ".join(service.name for service in state.services if name in service.models)
    words = (
        f"model '{name}' is in several services ({having}): name one with the header or metadata"
        f" {SERVICE_HEADER} or the host NAME.localhost"
    )
    return {
        "match": match,
        "direct_response": {"status": 409, "body": {"inline_string": words}},
    }


def _path_of(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"


def _http_answers() -> list[Json]:
    return [{"match": {"prefix": "/"}, "route": {"cluster": clusters.ANSWERS}}]


# ── gRPC ──────────────────────────────────────────────────────────────────────────────────────


def _only_grpc(routes: Iterable[Json]) -> list[Json]:
    return [{**route, "match": {**route["match"], "grpc": {}}} for route in routes]


def _grpc_routes_of_everyone(state: GatewayState, settings: Settings) -> list[Json]:
    routes: list[Json] = []
    owners = model_owners(state)
    for service in state.services:
        routes += _grpc_routes_of(service, settings, {}, [equals(SERVICE_HEADER, service.name)])
        for model in service.models:
            if owners[model] is service:
                routes += _grpc_routes_of(service, settings, _read(model), [])
    for model in sorted(name for name, owner in owners.items() if owner is None):
        routes.append(_ambiguous(model, state, {"prefix": "/"} | _read(model)) | _INVALID_ARGUMENT)
    unknown = {
        "match": {"prefix": f"/{protobuf.SERVICE}/Model", "headers": [present(SERVICE_HEADER)]},
        "route": {"cluster": clusters.ANSWERS},
    }
    return [*routes, unknown, *_by_name(settings), *_grpc_answers()]


def _read(model: str) -> Json:
    """Return a matcher for calls whose first message was read and names this model."""
    return {"filter_state": [{"key": MODEL_STATE, "string_match": {"exact": json.dumps([model])}}]}


def _grpc_routes_of(
    service: ServiceRoutes, settings: Settings, more: Json, headers: list[Json]
) -> list[Json]:
    stream_call = {"path": _STREAM_CALL} | more
    stream = revisions.routes(service, "grpc", stream_call, headers, settings, stream=True)
    unary = {"safe_regex": {"regex": _UNARY_CALLS}} | more
    return [
        *({**route, **_per_filter(body_size_limit=False)} for route in stream),
        *revisions.routes(service, "grpc", unary, headers, settings, stream=False),
    ]


def _by_name(settings: Settings) -> list[Json]:
    """Return the routes on which the first message is read, and the route chosen again.

    Which filters a call passes is settled by the first route that it matches. A name that no route
    has leads here a second time, and from here to the gateway's own answers.
    """
    uncompressed = {
        "name": "grpc-encoding",
        "string_match": {"safe_regex": {"regex": "(identity)?"}},
        "treat_missing_header_as_empty": True,
    }
    rest = {
        "route": {"cluster": clusters.ANSWERS, "timeout": "0s"},
        "request_body_buffer_limit": replies.name_limit(settings),
        "request_headers_to_add": [
            {
                "header": {"key": MODEL_HEADER, "value": f"%FILTER_STATE({MODEL_STATE}:PLAIN)%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }
    reading = {"grpc_field_extraction": True, "set_filter_state": True}
    return [
        {"match": {"path": _STREAM_CALL, "headers": [uncompressed]}}
        | rest
        | _per_filter(body_size_limit=False, **reading),
        {"match": {"safe_regex": {"regex": _UNARY_CALLS}, "headers": [uncompressed]}}
        | rest
        | _per_filter(**reading),
    ]


def _grpc_answers() -> list[Json]:
    answered = {"route": {"cluster": clusters.ANSWERS}}
    server_calls = [
        {"match": {"path": f"/{protobuf.SERVICE}/{call}"}}
        | answered
        | _per_filter(grpc_http1_reverse_bridge=True)
        for call in _SERVER_CALLS
    ]
    return [*server_calls, {"match": {"prefix": "/"}} | answered]


def _per_filter(**enabled: bool) -> Json:
    return {
        "typed_per_filter_config": {
            f"envoy.filters.http.{name}": {"@type": _FILTER_TYPE, "config": {}, "disabled": not on}
            for name, on in enabled.items()
        }
    }
