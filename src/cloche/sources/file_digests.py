r"""Digests by which registries name the bytes of a file, checked against a file on disk.

sha256:<64 digits>   SHA-256 of the bytes: what Git LFS calls `oid`
git:<40 digits>      a blob of Git: SHA-1 of `blob <size>\0` and the bytes (gitformat-loose)
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 2**20
GIT = "git:"


def matches(expected: str | None, sha256: str, path: Path) -> bool:
    """Return whether a file has an expected digest; `sha256` is its own. None expects nothing."""
    if expected is None:
        return True
    return expected == (git_digest(path) if expected.startswith(GIT) else sha256)


def git_digest(path: Path) -> str:
    """Return the name that Git gives to the bytes of a file."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return GIT + digest.hexdigest()
