"""Small JSON files that say what runs and what should, whole at any moment.

A record that is missing, or that this version of Cloche cannot decode, is none: what it named is
found by its marker and ended. One that the disk does not give is another matter: nothing is
concluded from it, and whoever asked is told.
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
    """Return a record; None where there is none, or none that this version of Cloche can decode.

    Raises ClocheError `target.local.disk` where it cannot be read: that says nothing of what it
    names, which may run and be well.
    """
    import msgspec

    try:
        return artifacts.decode(kind, path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    except OSError as error:
        raise disk_error(path, error, "read") from error


def listed(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; raises ClocheError `target.local.disk` as `load` does.

    `Path.glob` would take a folder that it may not read for an empty one.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise disk_error(folder, error, "read") from error


def disk_error(path: Path, error: OSError, doing: str = "write") -> ClocheError:
    """Return the error that a record, or a folder of them, cannot be read or written."""
    return ClocheError(
        "target.local.disk",
        f"Cannot {doing} {path.name}: {error.strerror or error}.",
        where=str(path.parent),
        hint="Make room on this disk (`cloche cache` shows what Cloche keeps) or give yourself"
        " permission for the folder, then try again.",
        retriable=True,
    )
