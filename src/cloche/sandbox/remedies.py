"""What to do about a model whose code is kept from a file that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAID = ("PermissionError", "Permission denied", "No such file", "Read-only file system")
"""What a program says that is kept from a file."""


def of_files(lines: Iterable[str]) -> str | None:
    """Return what to do, as sentences, if what a model in a sandbox said tells of a file."""
    if not any(said in line for line in lines for said in _SAID):
        return None
    return (
        "A model finds no file of your home or of /tmp, and changes none: what it needs beside its"
        " own files, name with `sandbox: {read: [PATH]}`, or `write`, in cloche.yaml."
    )
