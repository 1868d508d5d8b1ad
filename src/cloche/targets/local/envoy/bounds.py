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
_HELD = ("bounds.lua", "inflate.lua", "bounds_held.lua")
_SMALL = (*_HELD, "bounds_small.lua")
_LARGE = (*_HELD, "json_string.lua", "bounds_large.lua")


def http_filters(settings: Settings, *, beside_grpc: bool = False) -> list[Json]:
    """Return the filters that read the JSON of all requests of a connection.

    A request meets one of them, a gRPC call none: each call of a script costs time.
    """
    grpc = [_header("content-type", {"prefix": "application/grpc"})] if beside_grpc else []
    small = _header("content-length", {"safe_regex": {"google_re2": {}, "regex": "[0-9]{1,5}"}})
    return [
        _skipped(NAME, _script(settings, *_SMALL), grpc),
        _skipped(f"{NAME}.large", _script(settings, *_LARGE), [*grpc, small]),
    ]


def _header(name: str, value: Json) -> Json:
    """Return a predicate of a request's header."""
    kind = f"{_TYPES}/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    given = {"name": name, "typed_config": {"@type": kind, "header_name": name}}
    return {"single_predicate": {"input": given, "value_match": value}}


def _skipped(name: str, script: Json, predicates: list[Json]) -> Json:
    """Return a filter that is left out for requests of which a predicate holds."""
    if not predicates:
        return {"name": name, "typed_config": script}
    skip = f"{_TYPES}/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
    action = {"name": "skip", "typed_config": {"@type": skip}}
    matchers = [{"predicate": each, "on_match": {"action": action}} for each in predicates]
    config = {
        "@type": f"{_TYPES}/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
        "extension_config": {"name": name, "typed_config": script},
        "xds_matcher": {"matcher_list": {"matchers": matchers}},
    }
    return {"name": name, "typed_config": config}


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


def _script(settings: Settings, *sources: str) -> Json:
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
    code = "\n".join([*tables, scripts.joined(*sources)])
    kind = f"{_TYPES}/envoy.extensions.filters.http.lua.v3.Lua"
    return {"@type": kind, "default_source_code": {"inline_string": code}}


def _table(name: str, values: Mapping[str, int | str]) -> str:
    """Return a table in Lua, which writes numbers and plain text as JSON does."""
    fields = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"local {name} = {{ {fields} }}"
