"""Names of a model by which its server does not know it: what a registry calls it.

The server knows a model by the service's name: the repository is the same bytes everywhere, and has
the model once. So the gateway renames: the path, and by a filter (rename.lua) the name inside
messages. Inference over HTTP and answers in a stream carry the service's name.

One route may serve many such names. A request is told to have one of them by a script, which costs
a fraction of a microsecond whatever their number.
https://www.envoyproxy.io/docs/envoy/latest/configuration/other_features/string_matcher
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.targets.local.envoy import scripts
from cloche.targets.local.envoy.revision_routes import MODEL_STATE, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.targets.local.envoy.services import ServiceRoutes

Json = dict[str, Any]

FILTER = "envoy.filters.http.lua"
_MATCHER = "type.googleapis.com/envoy.extensions.string_matcher.lua.v3.Lua"


def http_filter() -> Json:
    """Return the filter that renames, which runs only where a route says so."""
    made = scripts.of_routes(FILTER, "rename.lua")
    # The route that was chosen by a name is not chosen again by that of the server.
    return {**made, "typed_config": {**made["typed_config"], "clear_route_cache": False}}


def of_paths(owners: Mapping[str, ServiceRoutes]) -> Json:
    """Return what makes a route rename the models of paths; empty if the servers know them all."""
    return _per_route(
        {
            quote(name, safe=""): {
                "path": quote(model, safe=""),
                "model": model,
                "json": json.dumps(name, ensure_ascii=False)[1:-1],
            }
            for name, model in _renamed(owners)
        }
    )


def of_messages(owners: Mapping[str, ServiceRoutes]) -> Json:
    """Return what makes a route rename the models of messages, like `of_paths`."""
    return _per_route(
        {state_of(name): {"name": name, "model": model} for name, model in _renamed(owners)}
    )


def in_path(names: Iterable[str]) -> Json:
    """Return a matcher for requests whose path has one of the names of models."""
    of_value = 'value:match("^/v2/models/([^/?]+)")'
    return {
        "name": ":path",
        "string_match": _one_of((quote(name, safe="") for name in names), of_value),
    }


def in_message(names: Iterable[str]) -> Json:
    """Return a matcher for calls whose first message was read and has one of the names."""
    return {"key": MODEL_STATE, "string_match": _one_of(map(state_of, names), "value")}


def _renamed(owners: Mapping[str, ServiceRoutes]) -> Iterable[tuple[str, str]]:
    known = ((name, owner.server_name(name)) for name, owner in owners.items())
    return ((name, model) for name, model in known if model is not None)


def _per_route(context: Json) -> Json:
    if not context:
        return {}
    return {"typed_per_filter_config": {FILTER: scripts.on_route(context)}}


def _one_of(texts: Iterable[str], of_value: str) -> Json:
    # None has a control character, so that JSON's strings are those of Lua.
    listed = ", ".join(f"[{json.dumps(text, ensure_ascii=False)}] = true" for text in texts)
    code = (
        f"local NAMES = {{{listed}}}\n"
        f"function envoy_match(value) return NAMES[{of_value}] == true end"
    )
    config = {"@type": _MATCHER, "source_code": {"inline_string": code}}
    return {"custom": {"name": "envoy.string_matcher.lua", "typed_config": config}}
