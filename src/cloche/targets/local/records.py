"""Small JSON files that say what runs and what should, whole at any moment.

They name processes and wishes of one home. A record that cannot be read back (of another version
of Cloche, or after a disk was full) is worth no more than none: what it named is found by its
marker and ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cloche import artifacts, files
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


def save(path: Path, value: object) -> None:
    """Replace a record; raises ClocheError `target.local.disk` when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, artifacts.encode(value))
    except OSError as error:
        raise disk_error(path, error) from error


def load(path: Path, kind: type[T]) -> T | None:
    """Return a record, None when there is none that can be read."""
    import msgspec

    try:
        return artifacts.decode(kind, path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def disk_error(path: Path, error: OSError) -> ClocheError:
    """Return what a user is told when the folder of a home cannot be written."""
    return ClocheError(
        "target.local.disk",
        f"Cannot write {path.name}: {error.strerror or error}.",
        where=str(path.parent),
        hint="Make room on this disk (`cloche cache` shows what Cloche keeps) or make the folder"
        " writable, then try again.",
        retriable=True,
    )
