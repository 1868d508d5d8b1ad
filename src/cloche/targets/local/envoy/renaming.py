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
_SCRIPT = "rename"
_TYPES = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"


def http_filter() -> Json:
    """Return the filter that renames, which runs only where a route says so."""
    text = scripts.joined("rename.lua")
    return {
        "name": FILTER,
        "disabled": True,
        "typed_config": {
            "@type": f"{_TYPES}.Lua",
            "source_codes": {_SCRIPT: {"inline_string": text}},
        },
    }


def per_route(service: ServiceRoutes, name: str) -> Json:
    """Return what makes a route rename; empty if the server knows the model by this name."""
    known = service.server_name(name)
    if known is None:
        return {}
    context = {"name": name, "model": known, "json": json.dumps(name, ensure_ascii=False)[1:-1]}
    config = {"@type": f"{_TYPES}.LuaPerRoute", "name": _SCRIPT, "filter_context": context}
    return {"typed_per_filter_config": {FILTER: config}}
