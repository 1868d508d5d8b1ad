"""JSON schemas of an API server's kinds, made from its own OpenAPI documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOCATION = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"
"""How kubeconform finds the schema of a kind in their folder."""
_KINDS = "x-kubernetes-group-version-kind"
_OPEN = "x-kubernetes-preserve-unknown-fields"


def write(read: Callable[[str], str], folder: Path) -> None:
    """Write a schema of each kind, in which no unknown field is allowed.

    `read` returns what the API server answers to a path.
    """
    for name, entry in json.loads(read("/openapi/v3"))["paths"].items():
        if not name.startswith(("api/v", "apis/")) or not name.rpartition("/")[2].startswith("v"):
            continue
        schemas = json.loads(read(entry["serverRelativeURL"]))["components"]["schemas"]
        closed = {"components": {"schemas": _closed(schemas)}}
        for schema, body in schemas.items():
            for kind in body.get(_KINDS, ()):
                if _path(kind) == name:
                    whole = {"$ref": f"#/components/schemas/{schema}", **closed}
                    (folder / _file(kind)).write_text(json.dumps(whole))


def _path(kind: dict[str, str]) -> str:
    return f"apis/{kind['group']}/{kind['version']}" if kind["group"] else f"api/{kind['version']}"


def _file(kind: dict[str, str]) -> str:
    # To kubeconform the core's group is called like its version.
    group = kind["group"] or kind["version"]
    return f"{group}_{kind['version']}_{kind['kind'].lower()}.json"


def _closed(schema: Any) -> Any:
    """Return a schema in which an object has the fields that it names and no other."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    is_object = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if is_object and "additionalProperties" not in schema and not schema.get(_OPEN):
        closed["additionalProperties"] = False
    return closed
