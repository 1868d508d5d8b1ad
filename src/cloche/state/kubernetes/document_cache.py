"""The documents of revisions that this machine has read: a folder, a file by each digest.

What is in it can be fetched again from the registry, unless that has lost it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cloche.artifacts import digest_of
from cloche.files import private_folder, write_atomically
from cloche.store import Cleaned, Usage

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, digest: str) -> bytes | None:
    """Return a document that was kept, unless its file was damaged since."""
    file = _file(folder, digest)
    with suppress(OSError):
        data = file.read_bytes()
        if digest_of(data) == digest:
            os.utime(file)
            return data
    return None


def keep(folder: Path, digest: str, data: bytes) -> None:
    """Keep a document; where that is not possible, it is fetched again."""
    with suppress(OSError):
        if read(folder, digest) is None:
            private_folder(folder)
            write_atomically(_file(folder, digest), data, private=True)


def clean(folder: Path, *, before: float) -> Cleaned:
    """Remove the documents that were last used before `before`, in seconds since 1970."""
    found, removed = usage(folder), []
    for entry in found:
        if entry.last_used < before:
            with suppress(OSError):
                _file(folder, str(entry.digest)).unlink()
                removed.append(entry)
    freed = sum(entry.size for entry in removed)
    return Cleaned(freed, sum(entry.size for entry in found) - freed, tuple(removed))


def usage(folder: Path) -> list[Usage]:
    """Return the documents of a folder."""
    entries = []
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                status = file.stat()
                entries.append(
                    Usage("document", f"sha256:{file.name}", "a revision of a cluster",
                          status.st_size, status.st_mtime, kept=False)
                )  # fmt: skip
    return entries


def _file(folder: Path, digest: str) -> Path:
    return folder / digest.removeprefix("sha256:")
