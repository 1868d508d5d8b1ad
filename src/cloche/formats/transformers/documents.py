"""Files of JSON beside weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 16 * 2**20


def read(path: Path | None, where: str) -> Any:
    """Return the content of a file, None without one; raises ClocheError."""
    if path is None:
        return None
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (RecursionError, ValueError) as error:
        raise ClocheError(
            "source.transformers.document",
            f"{path.name} cannot be read: {error}.",
            where=where,
            hint="Save the model again, or download the file again.",
        ) from None


def mapping(path: Path | None, where: str) -> dict[str, Any]:
    """Return the mapping in a file, empty without one or for another content."""
    content = read(path, where)
    return content if isinstance(content, dict) else {}
