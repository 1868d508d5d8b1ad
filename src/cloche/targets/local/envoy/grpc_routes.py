"""The routes of gRPC calls: the path names the call, the first message names the model."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import (
    clusters,
    protobuf,
    renaming,
    replies,
    revision_routes,
    unary,
)
from cloche.targets.local.envoy.revision_routes import SERVICE_HEADER, equals, present
from cloche.targets.local.envoy.services import plain_owners

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.settings import Settings
    from cloche.targets.local.envoy.services import GatewayState, ServiceRoutes

Json = dict[str, Any]

MODEL_STATE = "cloche.model"
"""The filter state that holds the model's name from the first message, as JSON: `["digits"]`."""
MODEL_HEADER = "cloche-model-of-message"
"""Passes a name without a route to the gateway's own answers."""

_FILTER_TYPE = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
_INFER_CALL = f"/{protobuf.SERVICE}/ModelInfer"
_UNARY_CALLS = re.escape(f"/{protobuf.SERVICE}/") + "({})".format(
    "|".join(call for call in sorted(protobuf.NAME_FIELDS) if call != "ModelStreamInfer")
)
_SERVER_CALLS = ("ServerLive", "ServerReady", "ServerMetadata")


def of_everyone(state: GatewayState, settings: Settings) -> list[Json]:
    """Return the routes under any host."""
    return _only_grpc(_routes_of_everyone(state, settings))


def of_host(service: ServiceRoutes, settings: Settings) -> list[Json]:
    """Return the routes under a service's host."""
    return _only_grpc([*_routes_of(service, settings, {}, []), *_answers()])


def _only_grpc(routes: Iterable[Json]) -> list[Json]:
    return [{**route, "match": {**route["match"], "grpc": {}}} for route in routes]


def _routes_of_everyone(state: GatewayState, settings: Settings) -> list[Json]:
    routes: list[Json] = []
    for service in state.services:
        routes += _routes_of(service, settings, {}, [equals(SERVICE_HEADER, service.name)])
    for name, owner in sorted(plain_owners(state).items()):
        renamed = renaming.per_route(owner, name)
        routes += _routes_of(owner, settings, _names_model(name), [], renamed)
    unknown = {
        "match": {"prefix": f"/{protobuf.SERVICE}/Model", "headers": [present(SERVICE_HEADER)]},
        "route": {"cluster": clusters.ANSWERS},
    }
    return [*routes, unknown, *_by_name(settings), *_answers()]


def _with_filters(route: Json, more: Json) -> Json:
    """Return a route with further settings of filters beside its own."""
    key = "typed_per_filter_config"
    return route | {key: route.get(key, {}) | more[key]} if more else route


def _names_model(model: str) -> Json:
    """Return a matcher for calls whose first message was read and names a model."""
    state = json.dumps([model], ensure_ascii=False)
    return {"filter_state": [{"key": MODEL_STATE, "string_match": {"exact": state}}]}


def _routes_of(
    service: ServiceRoutes,
    settings: Settings,
    more: Json,
    headers: list[Json],
    filters: Json | None = None,
) -> list[Json]:
    """Return the routes of calls that match `more` and `headers`; those to replicas `filters`."""
    infer, any_unary = {"path": _INFER_CALL}, {"safe_regex": {"regex": _UNARY_CALLS}}

    def routes(match: Json, *, stream: bool = False) -> list[Json]:
        return revision_routes.routes(
            service, "grpc", match | more, headers, settings, stream=stream
        )

    streams = [
        {**route, **_per_filter(body_size_limit=False)}
        for route in routes({"path": unary.STREAM_CALL}, stream=True)
    ]
    if any(revision.as_streams for revision in service.revisions):
        spread = any(revision.spread for revision in service.revisions)
        passed = [unary.passed_as_stream(route, marked=spread) for route in routes(infer)]
        streams = [*passed, *map(unary.safe_stream, streams)]
    return [
        *revision_routes.lacking_sequence(service, infer | more, headers),
        *revision_routes.decoupled(service, infer | more, headers),
        *(_with_filters(route, filters or {}) for route in [*streams, *routes(any_unary)]),
    ]


def _by_name(settings: Settings) -> list[Json]:
    """Return the routes whose filters read the first message and choose the route again.

    The first route that a call matches decides its filters. A name without a route matches here a
    second time, and the call goes to the gateway's own answers.
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
    # The route that is chosen then says whether the last of these filters has something to do.
    reading = {"grpc_field_extraction": True, "set_filter_state": True, "lua": True}
    answering = _per_filter(**reading)
    answering["typed_per_filter_config"] |= _enabled(unary.FILTER)
    return [
        {"match": {"path": unary.STREAM_CALL, "headers": [uncompressed]}}
        | rest
        | _per_filter(body_size_limit=False, **reading),
        {"match": {"safe_regex": {"regex": _UNARY_CALLS}, "headers": [uncompressed]}}
        | rest
        | answering,
    ]


def _answers() -> list[Json]:
    answered = {"route": {"cluster": clusters.ANSWERS}}
    server_calls = [
        {"match": {"path": f"/{protobuf.SERVICE}/{call}"}}
        | answered
        | _per_filter(grpc_http1_reverse_bridge=True)
        for call in _SERVER_CALLS
    ]
    return [*server_calls, {"match": {"prefix": "/"}} | answered]


def _per_filter(**enabled: bool) -> Json:
    filters = [_enabled(f"envoy.filters.http.{name}", on) for name, on in enabled.items()]
    return {
        "typed_per_filter_config": {key: value for each in filters for key, value in each.items()}
    }


def _enabled(name: str, on: bool = True) -> Json:
    return {name: {"@type": _FILTER_TYPE, "config": {}, "disabled": not on}}
