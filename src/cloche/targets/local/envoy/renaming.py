"""Names of a model by which its server does not know it: what a registry calls it.

The server knows a model by the service's name: the repository is the same bytes everywhere, and has
the model once. So the gateway renames: the route rewrites the path, and a filter the name inside
messages (rename.lua). Inference over HTTP and answers in a stream carry the service's name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.targets.local.envoy import scripts

if TYPE_CHECKING:
    from cloche.targets.local.envoy.services import ServiceRoutes

Json = dict[str, Any]

FILTER = "envoy.filters.http.lua"


def http_filter() -> Json:
    """Return the filter that renames, which runs only where a route says so."""
    return scripts.of_routes(FILTER, "rename.lua")


def per_route(service: ServiceRoutes, name: str) -> Json:
    """Return what makes a route rename; empty if the server knows the model by this name."""
    known = service.server_name(name)
    if known is None:
        return {}
    quoted = json.dumps(name, ensure_ascii=False)[1:-1]
    config = scripts.on_route(name=name, model=known, json=quoted)
    return {"typed_per_filter_config": {FILTER: config}}
