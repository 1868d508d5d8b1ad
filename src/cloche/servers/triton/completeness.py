"""Whether models leave something for Triton to fill in when they are loaded.

Filling in starts and ends a whole stub process per model, one after the other, before the first
instance: it takes two thirds of the time in which a small model comes up. Where nothing is left out
it changes nothing, and is switched off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.model_config.names import CONFIG

if TYPE_CHECKING:
    from pathlib import Path

_TOKEN = re.compile(
    r"""\#[^\n]*                                  # a comment
    | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'   # a string
    | [{}<>\[\]]                                  # where a message or list begins or ends
    | [A-Za-z_]\w*                                # a name or a value
    """,
    re.VERBOSE,
)
_NEEDED = {"input", "output"}


def is_complete(model: Path) -> bool:
    """Return whether a model's folder says all that its backend could fill in.

    The ONNX Runtime backend fills in nothing where inputs and outputs are given; a Python model may
    fill in anything, but only by a method of a known name.
    """
    configuration = model / CONFIG
    if not configuration.is_file():
        return False
    if not top_level_fields(configuration.read_text(encoding="utf-8", errors="replace")) >= _NEEDED:
        return False
    return not any(
        b"auto_complete_config" in source.read_bytes() for source in model.glob("*/*.py")
    )


def top_level_fields(text: str) -> set[str]:
    """Return the names of the fields that a protobuf text sets at its top level."""
    fields: set[str] = set()
    depth = 0
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word in "{<[":
            depth += 1
        elif word in "}>]":
            depth -= 1
        elif depth == 0 and word[0] not in "#\"'":
            fields.add(word)
    return fields
