"""The JSON schema of cloche.yaml, for editors."""

from __future__ import annotations

import json
from typing import Any

from cloche.artifacts.service import DEFAULT_REPLICAS
from cloche.spec import names
from cloche.spec.model import ServiceSpec


def json_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) of cloche.yaml."""
    schema = ServiceSpec.model_json_schema(mode="validation")
    schema["properties"]["replicas"]["default"] = DEFAULT_REPLICAS
    name = schema["properties"]["name"]
    name.pop("anyOf")
    name |= {"type": "string", "pattern": f"^{names.LABEL}$"}
    tidied = _tidy(schema)
    tidied["description"] = "A service: its model, and how it is batched, run and served."
    tidied["title"] = "cloche.yaml"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tidied}


def schema_text() -> str:
    """Return the text of docs/cloche.schema.json."""
    return json.dumps(json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _tidy(value: Any) -> Any:
    """Drop what an editor cannot use: null alternatives, generated titles and defaults."""
    if isinstance(value, list):
        return [_tidy(item) for item in value if item != {"type": "null"}]
    if not isinstance(value, dict):
        return value
    tidied = {key: _tidy(item) for key, item in value.items()}
    if isinstance(tidied.get("description"), str):
        tidied["description"] = " ".join(tidied["description"].split())
    if isinstance(tidied.get("title"), str):
        del tidied["title"]
    if "default" in tidied and not isinstance(tidied["default"], int):
        del tidied["default"]
    if len(tidied.get("anyOf", [])) == 1:
        (only,) = tidied.pop("anyOf")
        tidied = {**only, **tidied}
    return tidied
