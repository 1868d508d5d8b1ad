"""What the gateway says itself: about the whole server, and why a request goes nowhere.

These answers come from a second listener inside the same process, so that the path of requests to
models has no filter for them. One listener serves both protocols; gRPC calls about the server reach
it through a bridge that turns a plain answer into a framed message with trailers, which a direct
response cannot have.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from cloche.targets.local.envoy import protobuf
from cloche.version import __version__

Json = dict[str, Any]

LISTENER = "cloche.answers"
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
    """Return the routes that tell about the server as a whole."""
    about = {"name": "cloche", "version": __version__, "extensions": list(_EXTENSIONS)}
    metadata = protobuf.server_metadata_response("cloche", __version__, _EXTENSIONS)
    live = protobuf.live_or_ready_response()
    prefix = f"/{protobuf.SERVICE}"
    return [
        _direct("/v2", json.dumps(about).encode(), "application/json"),
        _direct("/v2/health/live", b"", None),
        _direct("/v2/health/ready", b"", None),
        _direct(f"{prefix}/ServerLive", live, BRIDGED_TYPE),
        _direct(f"{prefix}/ServerReady", live, BRIDGED_TYPE),
        _direct(f"{prefix}/ServerMetadata", metadata, BRIDGED_TYPE),
    ]


def _direct(path: str, body: bytes, content_type: str | None) -> Json:
    match: Json = {"path": path}
    if content_type == BRIDGED_TYPE:
        match["headers"] = [{"name": "content-type", "string_match": {"exact": BRIDGED_TYPE}}]
    else:
        match["headers"] = [{"name": ":method", "string_match": {"exact": "GET"}}]
    response: Json = {"status": 200}
    if body:
        response["body"] = {"inline_bytes": base64.b64encode(body).decode()}
    route: Json = {"match": match, "direct_response": response}
    if content_type:
        route["response_headers_to_add"] = [
            {
                "header": {"key": "content-type", "value": content_type},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ]
    return route


EXPLANATION = Path(__file__).with_name("explanation.lua").read_text(encoding="utf-8")
"""Says why nothing took a request. It decides nothing: only what no route wanted comes here."""
