"""The routes of gRPC calls: the path names the call, the first message names the model."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Protocol

from cloche.targets.local.envoy import (
    clusters,
    common_routes,
    protobuf,
    renaming,
    replies,
    revision_routes,
    unary,
)
from cloche.targets.local.envoy.revision_routes import (
    MODEL_STATE,
    REVISION_HEADER,
    SERVICE_HEADER,
    absent,
    equals,
    present,
    state_of,
)
from cloche.targets.local.envoy.services import ANY_HOST, SERVICE_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.settings import Settings
    from cloche.targets.local.envoy.common_routes import CommonRoutes
    from cloche.targets.local.envoy.services import ServiceRoutes

Json = dict[str, Any]

MODEL_HEADER = "cloche-model-of-message"
"""Passes a name without a route to the gateway's own answers."""

_MODEL: Json = {
    "request_headers_to_add": [
        {
            "header": {"key": MODEL_HEADER, "value": f"%FILTER_STATE({MODEL_STATE}:PLAIN)%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    ],
}
_FILTER_TYPE = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
_INFER_CALL = f"/{protobuf.SERVICE}/ModelInfer"
_UNARY_CALLS = re.escape(f"/{protobuf.SERVICE}/") + "({})".format(
    "|".join(call for call in sorted(protobuf.NAME_FIELDS) if call != "ModelStreamInfer")
)
_SERVER_CALLS = ("ServerLive", "ServerReady", "ServerMetadata")


def hosts(common: CommonRoutes, settings: Settings) -> dict[str, list[Json]]:
    """Return the routes by domain."""
    found = {
        ANY_HOST: [
            *_of_others(common, settings),
            *_in_common(common, settings),
            *_unknown_service(),
            *_by_name(settings),
            *_answers(),
        ],
        SERVICE_HOSTS: [*_common_calls(common, settings), *_answers()],
    }
    for service in common.others:
        found[service.host] = [*_routes_of(service, settings, {}, []), *_answers()]
    return {
        domain: [{**route, "match": {**route["match"], "grpc": {}}} for route in routes]
        for domain, routes in found.items()
    }


def _of_others(common: CommonRoutes, settings: Settings) -> list[Json]:
    """Return the routes of services with routes of their own."""
    routes: list[Json] = []
    for service in common.others:
        routes += _routes_of(service, settings, {}, [equals(SERVICE_HEADER, service.name)])
    for name, owner in common.others_owned.items():
        renamed = renaming.of_messages({name: owner})
        routes += _routes_of(owner, settings, _names_model(name), [], renamed)
    return routes


def _in_common(common: CommonRoutes, settings: Settings) -> list[Json]:
    """Return the routes that services have in common: by header, and by the model's name."""
    if not common.services:
        return []
    by_name: list[Json] = []
    ways = (
        (absent(REVISION_HEADER), common_routes.GRPC_MODELS),
        (present(REVISION_HEADER), common_routes.GRPC_REVISIONS),
    )
    names = [(_names_model(None), Json())] if common.owned else []
    if common.renamed:
        one_of = {"filter_state": [renaming.in_message(common.renamed)]}
        names.insert(0, (one_of, renaming.of_messages(common.renamed)))
    for (named, filters), (chosen, specifier) in itertools.product(names, ways):
        routes = _common_calls(common, settings, named, [chosen], specifier)
        by_name += [_with_filters(route, filters) | _MODEL for route in routes]
    return [*_common_calls(common, settings, {}, [present(SERVICE_HEADER)]), *by_name]


def _common_calls(
    common: CommonRoutes,
    settings: Settings,
    more: Json | None = None,
    headers: Iterable[Json] = (),
    specifier: str = common_routes.GRPC_CALLS,
) -> list[Json]:
    if not common.services:
        return []

    def routes(match: Json, *, stream: bool = False) -> list[Json]:
        whole = {"match": match | (more or {}) | {"headers": list(headers)}}
        return [whole | common_routes.to(specifier, settings, stream=stream)]

    return _calls(routes, as_streams=common.as_streams, marked=False)


def _unknown_service() -> list[Json]:
    match = {"prefix": f"/{protobuf.SERVICE}/Model", "headers": [present(SERVICE_HEADER)]}
    return [{"match": match, "route": {"cluster": clusters.ANSWERS}}]


def _with_filters(route: Json, more: Json) -> Json:
    """Return a route with further settings of filters beside its own."""
    key = "typed_per_filter_config"
    return route | {key: route.get(key, {}) | more[key]} if more else route


def _names_model(model: str | None) -> Json:
    """Return a matcher for calls whose first message was read and names this model, or any."""
    read = {"prefix": "["} if model is None else {"exact": state_of(model)}
    return {"filter_state": [{"key": MODEL_STATE, "string_match": read}]}


def _routes_of(
    service: ServiceRoutes,
    settings: Settings,
    more: Json,
    headers: list[Json],
    filters: Json | None = None,
) -> list[Json]:
    """Return the routes of calls that match `more` and `headers`; those to replicas `filters`."""

    def routes(match: Json, *, stream: bool = False) -> list[Json]:
        return revision_routes.routes(
            service, "grpc", match | more, headers, settings, stream=stream
        )

    infer = {"path": _INFER_CALL} | more
    calls = _calls(
        routes,
        as_streams=any(revision.as_streams for revision in service.revisions),
        marked=any(revision.spread for revision in service.revisions),
    )
    return [
        *revision_routes.lacking_sequence(service, infer, headers),
        *revision_routes.decoupled(service, infer, headers),
        *(_with_filters(route, filters or {}) for route in calls),
    ]


class _Routes(Protocol):
    """Makes the routes of the calls that match; those of a stream may last."""

    def __call__(self, match: Json, *, stream: bool = False) -> list[Json]: ...


def _calls(routes: _Routes, *, as_streams: bool, marked: bool) -> list[Json]:
    """Return the routes of each kind of call; `as_streams` and `marked` as in `unary`."""
    infer: list[Json] = []
    streams = [
        {**route, **_per_filter(body_size_limit=False)}
        for route in routes({"path": unary.STREAM_CALL}, stream=True)
    ]
    if as_streams:
        passed = routes({"path": _INFER_CALL})
        infer = [unary.passed_as_stream(route, marked=marked) for route in passed]
        streams = [unary.safe_stream(route) for route in streams]
    return [*infer, *streams, *routes({"safe_regex": {"regex": _UNARY_CALLS}})]


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
    } | _MODEL
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
