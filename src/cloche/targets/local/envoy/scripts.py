"""The scripts in Lua that Envoy runs, read from the files beside this one."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def joined(*names: str) -> str:
    """Return the text of scripts after each other; a later one may use what an earlier has."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)
