"""Calls of ModelInfer that are passed on as streams of one request.

A call that is cancelled while it is answered ends Triton before release 25.04 with SIGSEGV (issues
7368 and 8034 of triton-inference-server/server, mended by #8078): a client's deadline is enough. A
stream that is cancelled does not. So the route rewrites the path, and a filter makes the answer of
the call from that of the stream (unary.lua).

In a stream Triton gives the words of an error without its code, so the filter tells it by them. The
metadata `triton_grpc_error` would make it a status, but ends Triton as well: it writes an error and
uses the stream on. So it is taken away, from streams too.
"""

from __future__ import annotations

from typing import Any

from cloche.targets.local.envoy import protobuf, scripts

Json = dict[str, Any]

FILTER = "cloche.unary"
STREAM_CALL = f"/{protobuf.SERVICE}/ModelStreamInfer"
_ERRORS_AS_STATUS = "triton_grpc_error"
_MARK: Json = {"header": {"key": "cloche-as-stream", "value": "true"}}
"""Tells unknown_sequence.lua that it may hold the answer."""


def http_filter() -> Json:
    """Return the filter that makes the answers, which runs only where a route says so."""
    return scripts.of_routes(FILTER, "unary.lua")


def passed_as_stream(route: Json, *, marked: bool) -> Json:
    """Return the route of calls of ModelInfer that passes them on as streams."""
    return {
        **route,
        "route": {**route["route"], "prefix_rewrite": STREAM_CALL},
        # An answer that is compressed could not be changed.
        "request_headers_to_remove": ["grpc-accept-encoding", _ERRORS_AS_STATUS],
        **({"request_headers_to_add": [_MARK]} if marked else {}),
        "typed_per_filter_config": {
            **route.get("typed_per_filter_config", {}),
            FILTER: scripts.on_route(),
        },
    }


def safe_stream(route: Json) -> Json:
    """Return the route of streams without the metadata that ends Triton."""
    return {**route, "request_headers_to_remove": [_ERRORS_AS_STATUS]}
