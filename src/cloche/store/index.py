"""Small remembered values, each a file: the stat cache, resolved references, prepared results."""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cloche.artifacts import digest_of
from cloche.files import sync_folder, write_all
from cloche.store.disk import writing
from cloche.store.partials import scratch_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Index:
    """Values by kind and key under one folder; any of them may be removed at any time."""

    def __init__(self, root: Path, partial: Path) -> None:
        self.root = root
        self._partial = partial

    def recall(self, kind: str, key: str) -> bytes | None:
        """Return a value and mark it as used; None if there is none."""
        path = self.path(kind, key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        with suppress(OSError):
            os.utime(path)
        # After a power cut a file that was not synced can be empty.
        return data or None

    def remember(self, kind: str, key: str, value: bytes, *, durable: bool = True) -> None:
        """Store a value under a kind and a key, in place of an earlier one."""
        with self.staging(kind, key, value, durable=durable) as commit:
            commit()

    @contextmanager
    def staging(
        self, kind: str, key: str, value: bytes, *, durable: bool = True
    ) -> Iterator[Callable[[], None]]:
        """Write a value to a temporary file; yield the function that renames it to its path."""
        path = self.path(kind, key)
        with writing(path, len(value)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch_file(self._partial) as (descriptor, temporary):
                write_all(descriptor, value)
                if durable:
                    os.fsync(descriptor)

                def commit() -> None:
                    temporary.rename(path)
                    if durable:
                        sync_folder(path.parent)

                yield commit

    def forget(self, kind: str, key: str) -> None:
        """Remove a value, if it exists."""
        self.path(kind, key).unlink(missing_ok=True)

    def path(self, kind: str, key: str) -> Path:
        """Return the path of a value; a key that is not a plain name is hashed."""
        if not _PLAIN.fullmatch(kind):
            raise ValueError(f"{kind!r} is not a kind of value")
        name = key if _PLAIN.fullmatch(key) else digest_of(key.encode()).removeprefix("sha256:")
        return self.root / kind / f"{name}.json"

    def values(self) -> Iterator[Path]:
        """Yield the files of all values."""
        yield from self.root.glob("*/*.json")


# ── the stat cache ────────────────────────────────────────────────────────────────────────────

STAT = "stat"


def stat_key(status: os.stat_result) -> str:
    """Return a key of a file's content from its stat; any write changes the ctime."""
    return (
        f"{status.st_dev}-{status.st_ino}-{status.st_size}"
        f"-{status.st_mtime_ns}-{status.st_ctime_ns}"
    )


def is_settled(status: os.stat_result) -> bool:
    """Return whether a later write is certain to change the file's timestamps.

    A clock tick is up to 10 ms, and some file systems store whole seconds: a file that was changed
    in the current tick can change again with the same stat (git calls such files racy).
    """
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    tick = 50_000_000 if newest % 1_000_000_000 else 2_000_000_000
    return time.time_ns() - newest > tick
