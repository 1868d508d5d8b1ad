"""Whom the gateway answers: requests for its own hosts, and those of pages that may ask.

A page in a browser on this machine can send requests to loopback. If a name of its own leads there
(DNS rebinding), it may read the answers as well: so names that are not the gateway's are refused.
Addresses in numbers lead nowhere else. What a browser sends for a page of another origin has the
header `Origin` (https://fetch.spec.whatwg.org/#origin-header), which other clients do not send.

Browsers speak HTTP/2 only with TLS, so gRPC passes as it comes.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.settings import Settings

Json = dict[str, Any]

EVERYBODY = "*"
FOREIGN_HOST = "foreign-host"
FOREIGN_ORIGIN = "foreign-origin"
_TYPES = "type.googleapis.com/envoy.extensions.filters.http"
_CORS = "envoy.filters.http.cors"
_BINARY = "inference-header-content-length"
_ASKED = (
    "content-type", "content-encoding", _BINARY, "cloche-service", "cloche-revision",
    "cloche-sequence",
)  # fmt: skip
_SHOWN = (_BINARY, "cloche-revision")
_IPV4: Json = {"safe_regex": {"regex": "[0-9.]+"}}
"""No name ends in a label of digits."""
_IPV6: Json = {"prefix": "["}


def http_filters(settings: Settings) -> list[Json]:
    """Return the filters that refuse others; the port must be cut off the host before."""
    policies = {FOREIGN_HOST: _policy(":authority", list(_hosts(settings)))}
    if EVERYBODY not in settings.gateway_cors:
        policies[FOREIGN_ORIGIN] = _policy("origin", list(_origins(settings)))
    denial = {
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": f"{_TYPES}.rbac.v3.RBAC",
            "rules": {"action": "DENY", "policies": policies},
        },
    }
    cors = {"name": _CORS, "typed_config": {"@type": f"{_TYPES}.cors.v3.Cors"}}
    return [denial, cors] if settings.gateway_cors else [denial]


def of_host(settings: Settings) -> Json:
    """Return what a virtual host has so that pages of the allowed origins may read its answers."""
    if not settings.gateway_cors:
        return {}
    everybody = EVERYBODY in settings.gateway_cors
    allowed = (
        [{"safe_regex": {"regex": ".*"}}]
        if everybody
        else [_exactly(one) for one in settings.gateway_cors]
    )
    policy = {
        "@type": f"{_TYPES}.cors.v3.CorsPolicy",
        "allow_origin_string_match": allowed,
        "allow_methods": "GET, POST",
        "allow_headers": ", ".join(_ASKED),
        "expose_headers": ", ".join(_SHOWN),
        "max_age": "600",
    }
    return {"typed_per_filter_config": {_CORS: policy}}


def _hosts(settings: Settings) -> Iterator[Json]:
    yield from map(_exactly, _own_names(settings))
    yield {"suffix": ".localhost", "ignore_case": True}
    yield from (_IPV4, _IPV6)
    for pattern in settings.gateway_hosts:
        below = pattern.startswith("*.")
        yield {"suffix": pattern[1:], "ignore_case": True} if below else _exactly(pattern)


def _origins(settings: Settings) -> Iterator[Json]:
    """Yield the origin of the gateway itself, under each of its names, and those that are set."""
    for name in _own_names(settings):
        yield _exactly(f"http://{name}:{settings.gateway_port}")
    yield from map(_exactly, settings.gateway_cors)


def _own_names(settings: Settings) -> list[str]:
    own = [settings.gateway_host, socket.gethostname(), "localhost", "127.0.0.1"]
    return list(dict.fromkeys(own))


def _exactly(text: str) -> Json:
    return {"exact": text, "ignore_case": True}


def _policy(header: str, allowed: list[Json]) -> Json:
    """Return a policy for requests that have a header, with a value that is not allowed."""
    matches = [{"header": {"name": header, "string_match": match}} for match in allowed]
    present = {"header": {"name": header, "present_match": True}}
    other = {"not_id": {"or_ids": {"ids": matches}}}
    return {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": [present, other]}}]}
