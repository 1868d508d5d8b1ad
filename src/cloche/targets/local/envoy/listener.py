"""The listener: HTTP/1.1 and HTTP/2 on one port, told apart by their first bytes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import (
    answers,
    bounds,
    protobuf,
    renaming,
    replies,
    revision_routes,
    routes,
    unary,
    visitors,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.settings import Settings

Json = dict[str, Any]

_TYPES = "type.googleapis.com/envoy"
_FILTERS = f"{_TYPES}.extensions.filters"
LISTENER_TYPE = f"{_TYPES}.config.listener.v3.Listener"
NAME = "cloche.gateway"
_CONNECTION_BUFFER = 2**16
"""Bytes read before they are sent on. Small, so that a replica reads while a client sends: with
1 MiB a request of 600 KB took a tenth longer."""
_HTTP2_HEADERS_KIB = 15
"""Triton's gRPC takes 16 KiB of metadata. Of more than one frame, which is as long, it mixes up the
calls on a connection; and a refusal that repeats longer names ends the connection."""
_UPLOAD_SECONDS = 300
"""How long a request may take to arrive, and how long an HTTP/2 stream may be silent."""


def listeners(settings: Settings, folder: Path) -> list[Json]:
    """Return the gateway's listener, and the internal one of its own answers."""
    return [_gateway(settings, folder), _answers()]


def _gateway(settings: Settings, folder: Path) -> Json:
    return {
        "@type": LISTENER_TYPE,
        "name": NAME,
        "address": {
            "socket_address": {
                "address": settings.gateway_host,
                "port_value": settings.gateway_port,
            }
        },
        # The processes of one gateway share it; those of two never do (see `sockets.PortClaim`).
        "enable_reuse_port": True,
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER,
        "listener_filters": [
            _typed_config(
                "envoy.filters.listener.http_inspector",
                "listener.http_inspector.v3.HttpInspector",
            )
        ],
        "filter_chains": [
            {
                "name": "http2",
                "filter_chain_match": {"application_protocols": ["h2c"]},
                "filters": [_http2(settings, folder)],
            },
            {"name": "http1", "filters": [_http1(settings, folder)]},
        ],
    }


def _http1(settings: Settings, folder: Path) -> Json:
    return _connections(
        "http1",
        folder,
        routes.HTTP_TABLE,
        codec="HTTP1",
        filters=[
            *visitors.http_filters(settings),
            _size_limit(settings),
            *bounds.http_filters(settings),
            renaming.http_filter(),
        ],
        more={
            "http_protocol_options": {
                "accept_http_10": True,
                "default_host_for_http_10": "localhost",
            },
            "strip_any_host_port": True,
            "local_reply_config": replies.http1(settings),
            # One timer for the whole request; resetting one with each piece costs 3% more.
            "request_timeout": f"{_UPLOAD_SECONDS}s",
            "stream_idle_timeout": "0s",
        },
    )


def _http2(settings: Settings, folder: Path) -> Json:
    methods: Json = {
        f"{protobuf.SERVICE}.{method}": {"request_field_extractions": {field: {}}}
        for method, field in protobuf.NAME_FIELDS.items()
    }
    descriptors = base64.b64encode(protobuf.descriptor_set()).decode()
    filters = [
        _typed_config(
            "envoy.filters.http.grpc_http1_reverse_bridge",
            "http.grpc_http1_reverse_bridge.v3.FilterConfig",
            content_type=answers.BRIDGED_TYPE,
            withhold_grpc_frames=True,
        ),
        _typed_config(
            "envoy.filters.http.grpc_field_extraction",
            "http.grpc_field_extraction.v3.GrpcFieldExtractionConfig",
            descriptor_set={"inline_bytes": descriptors},
            extractions_by_method=methods,
        ),
        # Copies the name to where routes match it, and chooses the route again. (A Lua filter
        # does the same at 7% more cost per call.)
        _typed_config(
            "envoy.filters.http.set_filter_state",
            "http.set_filter_state.v3.Config",
            clear_route_cache=True,
            on_request_headers=[_model_of_message()],
        ),
        renaming.http_filter(),
    ]
    return _connections(
        "http2",
        folder,
        routes.GRPC_TABLE,
        codec="HTTP2",
        filters=[
            _size_limit(settings),
            *bounds.http_filters(settings, beside_grpc=True),
            *({**each, "disabled": True} for each in filters),
            # The status of a gRPC answer is not that of HTTP, which the router counts. After all
            # filters that choose a route: it counts for the cluster that it sees first.
            _typed_config(
                "envoy.filters.http.grpc_stats",
                "http.grpc_stats.v3.FilterConfig",
                stats_for_all_methods=False,
            ),
            # Sees an answer first, so that the status that it makes is counted.
            unary.http_filter(),
        ],
        more={
            "http2_protocol_options": {"max_concurrent_streams": 1024},
            "max_request_headers_kb": _HTTP2_HEADERS_KIB,
            "local_reply_config": replies.http2(settings),
            "stream_idle_timeout": f"{_UPLOAD_SECONDS}s",
        },
    )


def _model_of_message() -> Json:
    read = "%DYNAMIC_METADATA(envoy.filters.http.grpc_field_extraction:{})%".format
    fields = sorted(set(protobuf.NAME_FIELDS.values()))
    return {
        "object_key": revision_routes.MODEL_STATE,
        "factory_key": "envoy.string",
        "format_string": {
            "text_format_source": {"inline_string": "".join(read(field) for field in fields)},
            "omit_empty_values": True,
        },
    }


def _connections(
    name: str, folder: Path, table: str, *, codec: str, filters: list[Json], more: Json
) -> Json:
    """Return an HTTP connection manager without the features that a model server does not need."""
    return _typed_config(
        "envoy.filters.network.http_connection_manager",
        "network.http_connection_manager.v3.HttpConnectionManager",
        **{
            "stat_prefix": name,
            "codec_type": codec,
            "rds": {
                "route_config_name": table,
                "config_source": {
                    "resource_api_version": "V3",
                    "path_config_source": {
                        "path": str(folder / f"{table}.json"),
                        "watched_directory": {"path": str(folder)},
                    },
                },
            },
            "generate_request_id": False,
            "server_header_transformation": "PASS_THROUGH",
            "skip_xff_append": True,
            "http_filters": [*filters, router(counts=True)],
            **more,
        },
    )


def _size_limit(settings: Settings) -> Json:
    """Return the filter that limits the size of a body without buffering it."""
    return _typed_config(
        "envoy.filters.http.body_size_limit",
        "http.body_size_limit.v3.BodySizeLimit",
        max_request_bytes=settings.gateway_max_request_bytes,
    )


def _answers() -> Json:
    filters = [
        _typed_config(
            "envoy.filters.http.lua",
            "http.lua.v3.Lua",
            default_source_code={"inline_string": answers.EXPLANATION},
        ),
        router(),
    ]
    manager = _typed_config(
        "envoy.filters.network.http_connection_manager",
        "network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="answers",
        codec_type="HTTP2",
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        http_filters=filters,
        route_config={
            "name": answers.LISTENER,
            "virtual_hosts": [
                {"name": "answers", "domains": ["*"], "routes": answers.server_routes()}
            ],
        },
    )
    return {
        "@type": LISTENER_TYPE,
        "name": answers.LISTENER,
        "internal_listener": {},
        "filter_chains": [{"filters": [manager]}],
    }


def router(*, counts: bool = False) -> Json:
    """Return the router filter, without headers of Envoy; it `counts` answers by cluster."""
    return _typed_config(
        "envoy.filters.http.router",
        "http.router.v3.Router",
        dynamic_stats=counts,
        suppress_envoy_headers=True,
    )


def _typed_config(name: str, message: str, **fields: Any) -> Json:
    return {"name": name, "typed_config": {"@type": f"{_FILTERS}.{message}", **fields}}
