"""The JSON schema of cloche.yaml, for editors."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from typing import Any

from cloche.artifacts.service import DEFAULT_REPLICAS
from cloche.spec import names
from cloche.spec.model import ServiceSpec
from cloche.spec.sections import Section


def json_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) of cloche.yaml."""
    schema = ServiceSpec.model_json_schema(mode="validation")
    _describe(schema, ServiceSpec)
    for section in _subclasses(Section):
        if section.__name__ in schema["$defs"]:
            _describe(schema["$defs"][section.__name__], section)
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


def _subclasses(section: type[Section]) -> list[type[Section]]:
    return [each for own in section.__subclasses__() for each in (own, *_subclasses(own))]


def _describe(schema: dict[str, Any], section: type[Section]) -> None:
    """Put the text below each key of a section into its schema."""
    for name, text in _texts(section).items():
        field = section.model_fields.get(name)
        if field is not None:
            schema["properties"][field.alias or name]["description"] = text


def _texts(section: type[Section]) -> dict[str, str]:
    """Return the texts that follow attributes in a class and those that it inherits from."""
    texts: dict[str, str] = {}
    for owner in reversed(section.__mro__):
        if not issubclass(owner, Section):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - what the source of a class is
        for key, text in zip(body.body, body.body[1:], strict=False):
            match key, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(said))),
                ):
                    texts[name] = inspect.cleandoc(said)
    return texts


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
