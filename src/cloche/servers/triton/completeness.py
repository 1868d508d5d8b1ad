"""Whether Triton has to complete the configuration of models when it loads them.

Completion starts and ends a stub process per model, one after the other, before the first instance:
two thirds of the start time of a small model. For complete configurations it changes nothing, so it
is switched off.
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
    | [{}<>\[\]]                                  # begin or end of a message or list
    | [A-Za-z_]\w*                                # a name or a value
    """,
    re.VERBOSE,
)
_NEEDED = {"input", "output"}


def is_complete(model: Path) -> bool:
    """Return whether a model's backend has nothing to fill in.

    The ONNX Runtime backend fills in nothing if inputs and outputs are given. A Python model may
    fill in anything, but only by a method with a known name.
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
    """Return the names of the top-level fields of a protobuf text."""
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
