"""The scripts in Lua that Envoy runs, read from the files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Json = dict[str, Any]

_FOLDER = Path(__file__).parent
_TYPES = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"
_NAME = "script"
"""The one script of a filter, by which a route names it."""


def joined(*names: str) -> str:
    """Return the text of scripts after each other; a later one may use what an earlier has."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def of_routes(name: str, script: str) -> Json:
    """Return a filter of a script that runs only where a route says so, by `on_route`."""
    return {
        "name": name,
        "disabled": True,
        "typed_config": {
            "@type": f"{_TYPES}.Lua",
            "source_codes": {_NAME: {"inline_string": joined(script)}},
        },
    }


def on_route(context: Json | None = None) -> Json:
    """Return the configuration of a route on which the script of a filter runs, with a context."""
    given = {"filter_context": context} if context else {}
    return {"@type": f"{_TYPES}.LuaPerRoute", "name": _NAME, **given}
