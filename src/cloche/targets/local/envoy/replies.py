"""The gateway's error messages: no replica, no answer in time, a request that is too large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import visitors

if TYPE_CHECKING:
    from cloche.settings import Settings

Json = dict[str, Any]

_LARGEST_HELD = 128 * 2**20
_JSON_FORMAT: Json = {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}
_FILTERS = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_IS_GRPC: Json = {
    "header_filter": {
        "header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    }
}
_NOT_GRPC: Json = {
    "header_filter": {"header": {**_IS_GRPC["header_filter"]["header"], "invert_match": True}}
}


def _cel(expression: str) -> Json:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {"@type": _FILTERS, "expression": expression},
        }
    }


_OWN_WORDS: Json = {"filter": _cel("response.code_details == 'lua_response'")}
"""What a script answers keeps its words, whatever its status (bounds_held.lua)."""
_RESOURCE_EXHAUSTED, _INVALID_ARGUMENT, _DEADLINE_EXCEEDED = 8, 3, 4
_NAME_IT = "name the service with the metadata cloche-service or the host NAME.localhost"


def name_limit(settings: Settings) -> int:
    """Return the largest first message, in bytes, that a call is routed by.

    The gateway holds the message in memory meanwhile.
    """
    return min(settings.gateway_max_request_bytes, _LARGEST_HELD)


def http1(settings: Settings) -> Json:
    """Return the error format of HTTP/1.1 requests: JSON with one key, `error`."""
    all_words = [*_refused_visitors(), *((match, words) for match, words, _ in _common(settings))]
    mappers = [{"filter": match, "body": _text(words)} for match, words in all_words]
    return {"mappers": [_OWN_WORDS, *mappers], "body_format": _JSON_FORMAT}


def http2(settings: Settings) -> Json:
    """Return the error format of HTTP/2 requests: gRPC messages, JSON for all other requests."""
    limit = name_limit(settings)
    too_large = f"its first message is larger than {limit} bytes: {_NAME_IT}"
    unreadable = f"its first message is compressed or malformed: {_NAME_IT}"
    unread = "the gateway cannot read the name of the call's model, because "
    of_calls = [
        (_details("BUFFER"), unread + too_large, _RESOURCE_EXHAUSTED),
        (_details(""), unread + unreadable, _INVALID_ARGUMENT),
        *_common(settings),
    ]
    grpc = [
        {
            "filter": {"and_filter": {"filters": [_IS_GRPC, match]}},
            "body": _text(words),
            "headers_to_add": _status(code),
        }
        for match, words, code in of_calls
    ]
    http = [
        {
            "filter": {"and_filter": {"filters": [_NOT_GRPC, match]}},
            "body": _text(words),
            "body_format_override": _JSON_FORMAT,
        }
        for match, words, _ in _common(settings)
    ]
    rest = {"filter": _NOT_GRPC, "body_format_override": _JSON_FORMAT}
    own = {**_OWN_WORDS, "body_format_override": _JSON_FORMAT}
    return {"mappers": [own, *grpc, *http, rest]}


def _refused_visitors() -> list[tuple[Json, str]]:
    return [
        (
            _cel(f"response.code_details.contains('{visitors.FOREIGN_HOST}')"),
            "this gateway answers only its own hosts (setting gateway.hosts allows more)",
        ),
        (
            _cel(f"response.code_details.contains('{visitors.FOREIGN_ORIGIN}')"),
            "pages of this origin may not use this gateway (setting gateway.cors allows them)",
        ),
    ]


def _common(settings: Settings) -> list[tuple[Json, str, int | None]]:
    """Return `(filter, message, gRPC status)`; None keeps Envoy's status."""
    size = settings.gateway_max_request_bytes
    seconds = settings.gateway_request_timeout
    return [
        (
            _flags("UH"),
            "no replica of this service is healthy now; `cloche status` says why",
            None,
        ),
        (
            _flags("UT"),
            (
                "the replica did not answer in the time that a request may take: `timeout` in"
                f" cloche.yaml, else {seconds:g} s (setting gateway.request_timeout)"
            ),
            _DEADLINE_EXCEEDED,
        ),
        (
            _flags("UF", "URX"),
            "no replica of this service could be reached; nothing has run, so try again",
            None,
        ),
        (
            _flags("UC", "UR"),
            "the replica broke off before it answered; the request may have run",
            None,
        ),
        (
            _status_is(413),
            (
                f"the request is larger than {size} bytes, the limit of this gateway"
                " (setting gateway.max_request_bytes)"
            ),
            _RESOURCE_EXHAUSTED,
        ),
    ]


def _flags(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status_is(status: int) -> Json:
    value = {"default_value": status, "runtime_key": "cloche.unused"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _details(word: str) -> Json:
    """Return a log filter for errors of the HTTP filter that reads the model's name."""
    return _cel(
        "response.code_details.startsWith('grpc_field_extraction')"
        f" && response.code_details.contains('{word}')"
    )


def _text(words: str) -> Json:
    return {"inline_string": words}


def _status(code: int | None) -> list[Json]:
    if code is None:
        return []
    header = {"key": "grpc-status", "value": str(code)}
    return [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
