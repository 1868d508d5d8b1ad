"""The gateway's own answers: about the whole server, and why a request has no route.

They come from a second listener inside the same process, so that requests to models pass no filter
for them. One listener serves both protocols. gRPC calls about the server reach it through a bridge,
which turns a plain answer into a framed message with trailers; a direct response has no trailers.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cloche.targets.local.envoy import protobuf, scripts
from cloche.version import __version__

Json = dict[str, Any]

LISTENER = "cloche.answers"
SERVER = "triton"
"""What clients of Triton expect the server to be called."""
BRIDGED_TYPE = "application/x-protobuf"

_EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "parameters",
    "sequence",
    "statistics",
)


def server_routes() -> list[Json]:
    """Return the routes of calls about the server as a whole."""
    about = {"name": SERVER, "version": __version__, "extensions": list(_EXTENSIONS)}
    metadata = protobuf.server_metadata_response(SERVER, __version__, _EXTENSIONS)
    live = protobuf.live_or_ready_response()
    prefix = f"/{protobuf.SERVICE}"
    return [
        _direct("/v2", json.dumps(about).encode(), "application/json"),
        # The bodies are those of the Open Inference Protocol; Triton's own are empty.
        _direct("/v2/health/live", b'{"live":true}', "application/json"),
        _direct("/v2/health/ready", b'{"ready":true}', "application/json"),
        _direct(f"{prefix}/ServerLive", live, BRIDGED_TYPE),
        _direct(f"{prefix}/ServerReady", live, BRIDGED_TYPE),
        _direct(f"{prefix}/ServerMetadata", metadata, BRIDGED_TYPE),
    ]


def _direct(path: str, body: bytes, content_type: str) -> Json:
    match: Json = {"path": path}
    if content_type == BRIDGED_TYPE:
        match["headers"] = [{"name": "content-type", "string_match": {"exact": BRIDGED_TYPE}}]
    else:
        match["headers"] = [{"name": ":method", "string_match": {"exact": "GET"}}]
    inline = {"inline_bytes": base64.b64encode(body).decode()}
    return {
        "match": match,
        "direct_response": {"status": 200, "body": inline},
        "response_headers_to_add": [
            {
                "header": {"key": "content-type", "value": content_type},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }


EXPLANATION = scripts.joined("json_string.lua", "named_service.lua", "explanation.lua")
"""Explains why a request has no route. It decides nothing: it only gets requests without one."""
