"""Servers that an earlier version of Cloche installed: what they take, and removing them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import psutil

from cloche.servers import triton
from cloche.store import Cleaned, Usage
from cloche.store.disk import folder_size
from cloche.targets.local.envoy import installation as envoy

if TYPE_CHECKING:
    from pathlib import Path


def usage(root: Path) -> list[Usage]:
    """Return the installations under `root` that this version does not use.

    One that a server still runs from counts as kept.
    """
    folders = [*triton.outdated(root), *envoy.outdated(root)]
    running = _arguments() if folders else set()
    return [
        Usage(
            kind="server",
            digest=None,
            label=folder.name,
            size=folder_size(folder),
            last_used=folder.stat().st_mtime,
            kept=any(argument.startswith(f"{folder}/") for argument in running),
        )
        for folder in folders
    ]


def clean(root: Path) -> Cleaned:
    """Remove them, those that a server runs from excepted."""
    found = usage(root)
    removed = tuple(one for one in found if not one.kept)
    for one in removed:
        shutil.rmtree(root / one.label, ignore_errors=True)
    freed = sum(one.size for one in removed)
    return Cleaned(freed, sum(one.size for one in found) - freed, removed)


def _arguments() -> set[str]:
    """Return the words of the command lines of all processes."""
    lines = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    return {word for line in lines for word in line or ()}
