"""Files by digest: immutable, read-only, written once."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.files import sync_folder
from cloche.store.disk import STAMP_NS

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def hex_of(digest: str) -> str:
    """Return the hexadecimal part of a digest; raises `store.digest` for anything else."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ClocheError("store.digest", f"{digest!r} is not a digest such as sha256:<64 digits>.")
    return match[1]


def blob_path(root: Path, digest: str) -> Path:
    """Return the path of the file of a digest, which may not exist."""
    name = hex_of(digest)
    return root / "sha256" / name[:2] / name


def seal(descriptor: int) -> None:
    """Make a written file durable and read-only; set the time that shows that it is unchanged."""
    os.fchmod(descriptor, 0o444)
    os.utime(descriptor, ns=(time.time_ns(), STAMP_NS))
    os.fsync(descriptor)


def publish(temporary: Path, path: Path) -> None:
    """Move a sealed file to its path, durably."""
    is_new_folder = not path.parent.is_dir()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.rename(path)
    sync_folder(path.parent)
    if is_new_folder:
        sync_folder(path.parent.parent)


def mark_used(path: Path) -> None:
    """Set the access time of a stored file to now."""
    modified = path.stat().st_mtime_ns
    # A store on a read-only disk stays readable.
    with suppress(PermissionError):
        os.utime(path, ns=(time.time_ns(), modified))


def missing(what: str, digest: str) -> ClocheError:
    """Return the error for a file or a tree that is not in the store."""
    return ClocheError(
        "store.missing",
        f"The {what} {digest} is not in the store.",
        where=digest,
        hint="Run `cloche deploy` again to fetch and build what is missing.",
        retriable=True,
    )
