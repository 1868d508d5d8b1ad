"""Bounds on the JSON of requests, which the gateway reads before Triton does (bounds.lua).

Triton 24.10 is ended by 120 KB of `[` and by a shape of 2^40 elements in 100 bytes; it takes 3 GB
for a shape of 8 * 10^8, and 27 s for 100,000 parameters. Over gRPC nothing of this kind is known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.settings import Settings

Json = dict[str, Any]

DEPTH = 64
MEMBERS = 1024
"""Triton looks through all parameters for each of them: 100,000 took 27 s."""
NAME_BYTES = 2**16
JSON_BYTES = 64 * 2**20
"""Triton takes up to 16 times as much memory for JSON as it has bytes."""
HELD_BYTES = 2**20
"""What the gateway holds of a request that it cannot read while it passes."""
OPENED_BYTES = 32 * 2**20

NAME = "cloche.bounds"
_TYPES = "type.googleapis.com"
_SOURCES = ("bounds.lua", "inflate.lua", "json_string.lua", "bounds_entry.lua")


def http_filter(settings: Settings) -> Json:
    """Return the filter that reads the JSON of all requests of a connection."""
    return {"name": NAME, "typed_config": _script(settings)}


def http_filter_beside_grpc(settings: Settings) -> Json:
    """Return the same filter, left out for gRPC calls, which would pay for it."""
    content_type = {
        "@type": f"{_TYPES}/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        "header_name": "content-type",
    }
    of_grpc = {
        "single_predicate": {
            "input": {"name": "content-type", "typed_config": content_type},
            "value_match": {"prefix": "application/grpc"},
        }
    }
    skip = f"{_TYPES}/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
    action = {"name": "skip", "typed_config": {"@type": skip}}
    matchers = [{"predicate": of_grpc, "on_match": {"action": action}}]
    config = {
        "@type": f"{_TYPES}/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
        "extension_config": http_filter(settings),
        "xds_matcher": {"matcher_list": {"matchers": matchers}},
    }
    return {"name": NAME, "typed_config": config}


def words(settings: Settings) -> dict[str, str]:
    """Return what clients are told, by what is wrong."""
    largest = min(JSON_BYTES, settings.gateway_max_request_bytes)
    return {
        "depth": f"the JSON of the request is nested deeper than {DEPTH} levels",
        "members": f"an object in the JSON of the request has more than {MEMBERS} members",
        "name": (
            f"a key or a text beside the data of the request is longer than {NAME_BYTES} bytes"
        ),
        "shape": (
            "the shapes in the request declare more elements than its body can hold: an element"
            " takes at least two bytes in JSON, one in binary data"
        ),
        "header": (
            "the header Inference-Header-Content-Length is not a number of bytes within the body"
        ),
        "json": (
            f"the JSON of the request is larger than {largest} bytes: send tensors as binary data"
        ),
        "closed": (
            f"the compressed request is larger than {HELD_BYTES} bytes, which is all that the"
            " gateway decompresses: send it as it is"
        ),
        "opened": (
            f"the compressed request holds more than {OPENED_BYTES} bytes, which is all that the"
            " gateway decompresses: send it as it is"
        ),
        "broken": "the request cannot be decompressed: it is neither gzip nor zlib, or is cut off",
        "encoding": "the gateway decompresses requests whose Content-Encoding is gzip or deflate",
    }


def _script(settings: Settings) -> Json:
    limits = {
        "depth": DEPTH,
        "members": MEMBERS,
        "name": NAME_BYTES,
        "json": min(JSON_BYTES, settings.gateway_max_request_bytes),
        "held": HELD_BYTES,
        "opened": OPENED_BYTES,
        "body": settings.gateway_max_request_bytes,
    }
    tables = _table("LIMITS", limits), _table("WORDS", words(settings))
    code = "\n".join([*tables, scripts.joined(*_SOURCES)])
    kind = f"{_TYPES}/envoy.extensions.filters.http.lua.v3.Lua"
    return {"@type": kind, "default_source_code": {"inline_string": code}}


def _table(name: str, values: Mapping[str, int | str]) -> str:
    """Return a table in Lua, which writes numbers and plain text as JSON does."""
    fields = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"local {name} = {{ {fields} }}"
