"""Small JSON files with what runs and what should run, written atomically.

A record that this version of Cloche cannot decode counts as missing: its process is found by its
marker and ended. A record that cannot be read raises an error instead, since its process may be
healthy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cloche import artifacts, files
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")


def save(path: Path, value: object, *, reserve: Path | None = None) -> None:
    """Replace a record; raises ClocheError `target.local.disk` if it cannot be written.

    `reserve` is given up for it on a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, artifacts.encode(value), reserve=reserve)
    except OSError as error:
        raise disk_error(path, error) from error


def load(path: Path, kind: type[T]) -> T | None:
    """Return a record; None if it is missing or this version of Cloche cannot decode it.

    Raises ClocheError `target.local.disk` if it cannot be read.
    """
    import msgspec

    try:
        return artifacts.decode(kind, path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    except OSError as error:
        raise disk_error(path, error, "read") from error


def entries(folder: Path) -> list[Path]:
    """Return the paths in a folder, sorted; raises ClocheError `target.local.disk` like `load`.

    `Path.glob` would take a folder that it may not read for an empty one.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise disk_error(folder, error, "read") from error


def disk_error(path: Path, error: OSError, doing: str = "write") -> ClocheError:
    """Return the error for a record, or a folder of records, that cannot be read or written."""
    return ClocheError(
        "target.local.disk",
        f"Cannot {doing} {path.name}: {error.strerror or error}.",
        where=str(path.parent),
        hint="Make room on this disk (`cloche cache` shows what Cloche keeps) or give yourself"
        " permission for the folder, then try again.",
        retriable=True,
    )
