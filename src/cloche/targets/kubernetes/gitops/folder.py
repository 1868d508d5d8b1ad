"""The folder of an export, which others may have changed: nothing of theirs is written over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche import files
from cloche.artifacts import digest_of
from cloche.errors import ClocheError, ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORD = ".cloche-export"
"""The file with the digests of what was written; no tool takes it for a manifest."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an export changed in a folder, by path."""

    written: tuple[str, ...]
    removed: tuple[str, ...]


def check(folder: Path, *, overwrite: bool) -> None:
    """Raise ClocheError if an export may not be written to a folder.

    `export.output` for what is no folder, ConflictError `export.changed` for an earlier export that
    was changed by hand.
    """
    if folder.exists() and not folder.is_dir():
        hint = "Name a folder; it need not be there."
        raise ClocheError("export.output", "This is no folder.", where=str(folder), hint=hint)
    changed = [path for path, digest in _recorded(folder).items() if _now(folder / path) != digest]
    if changed and not overwrite:
        raise _changed(folder, changed, "was changed since it was exported")


def write(folder: Path, contents: Mapping[str, str], *, overwrite: bool) -> Written:
    """Write an export, and remove the files of the one before that it no longer has.

    Other files in the folder stay. Raises what `check` does, and `export.changed` for a file that
    no export wrote.
    """
    check(folder, overwrite=overwrite)
    before = _recorded(folder)
    others = [path for path in contents if path not in before and (folder / path).exists()]
    if others and not overwrite:
        raise _changed(folder, others, "is there, and no export wrote it")
    digests = {path: digest_of(text.encode()) for path, text in sorted(contents.items())}
    written = tuple(path for path, digest in digests.items() if _now(folder / path) != digest)
    for path in written:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(folder / path, contents[path].encode())
    removed = tuple(path for path in before if path not in contents)
    for path in removed:
        (folder / path).unlink(missing_ok=True)
    record = json.dumps({"files": digests}, indent=1)
    files.write_atomically(folder / RECORD, record.encode())
    return Written(written, removed)


def _recorded(folder: Path) -> dict[str, str]:
    """Return the digests of the files that an earlier export wrote."""
    path = folder / RECORD
    try:
        recorded = dict(json.loads(path.read_bytes())["files"])
        # The folder may be of someone else, and what it records is removed.
        for each in map(PurePosixPath, recorded):
            if each.is_absolute() or ".." in each.parts:
                raise ValueError(f"{each} leads out of the folder")
        return recorded
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClocheError(
            "export.output",
            f"What was exported to the folder before cannot be read: {error}.",
            where=str(path),
            hint="Remove the file to export anew; other files then are not written over.",
        ) from error


def _now(path: Path) -> str | None:
    return digest_of(path.read_bytes()) if path.is_file() else None


def _changed(folder: Path, paths: list[str], how: str) -> ConflictError:
    shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    return ConflictError(
        "export.changed",
        f"{shown} {how}.",
        where=str(folder),
        hint="Export to another folder and compare, move your changes to an overlay or to"
        " values.yaml of your own, or write over them with --overwrite.",
    )
