"""Objects as YAML, for people: keys in their order, programs as blocks."""

from __future__ import annotations

import io
from typing import Any


def text(value: Any) -> str:
    """Return a value as YAML, with a newline at its end."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def blocks(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: blocks(each) for key, each in item.items()}
        if isinstance(item, list | tuple):
            return [blocks(each) for each in item]
        return LiteralScalarString(item) if isinstance(item, str) and "\n" in item else item

    out = io.StringIO()
    writer = YAML(typ="rt", pure=True)
    writer.default_flow_style = False
    writer.width = 2**20
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(blocks(value), out)
    return out.getvalue()
