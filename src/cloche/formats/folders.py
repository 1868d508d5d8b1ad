"""Listing the files of a folder without leaving it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IGNORED = frozenset({
    "__pycache__", ".git", ".gitattributes", ".gitignore", ".DS_Store", ".ipynb_checkpoints",
    "Thumbs.db",
})  # fmt: skip
_MOST_FILES = 100_000


def list_files(folder: Path) -> dict[str, Path]:
    """Return the files under a folder by their POSIX path in it, with links resolved.

    Raises source.files.escapes for a link that leaves the folder, source.files.special for
    sockets, pipes and devices, source.files.name, and source.files.toomany.
    """
    root = folder.resolve()
    files: dict[str, Path] = {}
    for name, path in _walk(root, root, "", (root,)):
        files[name] = path
        if len(files) > _MOST_FILES:
            raise ClocheError(
                "source.files.toomany",
                f"The folder holds more than {_MOST_FILES} files, which no model does.",
                where=str(folder),
                hint="Name the folder of the model alone.",
            )
    return files


def inside(folder: Path, path: Path) -> Path:
    """Resolve a path in a folder; raises source.files.escapes if it leads out of the folder."""
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        raise ClocheError(
            "source.files.dangling",
            f"The link points to {path.readlink()}, which does not exist.",
            where=str(path),
            hint="Put the file in its place, or remove the link.",
        ) from None
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if not real.is_relative_to(folder.resolve()):
        raise ClocheError(
            "source.files.escapes",
            f"A link leads out of the model's folder, to {real}.",
            where=str(path),
            hint="Copy the file into the folder: a model is read only from its own folder.",
        )
    return real


def unreadable(path: Path, error: BaseException) -> ClocheError:
    """Return the error for an unreadable file or folder of a model."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ClocheError(
        "source.files.unreadable",
        f"Cannot read it: {why}.",
        where=str(path),
        hint="Check its permissions and who owns it.",
    )


def _walk(
    root: Path, folder: Path, prefix: str, above: tuple[Path, ...]
) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error
    for entry in entries:
        if entry.name in _IGNORED:
            continue
        name, path = prefix + entry.name, folder / entry.name
        _require_text(path)
        real = inside(root, path) if entry.is_symlink() else path
        mode = real.stat().st_mode
        if stat.S_ISDIR(mode):
            if real in above:
                raise unreadable(path, RuntimeError("the link leads back to a folder above it"))
            yield from _walk(root, real, f"{name}/", (*above, real))
        elif stat.S_ISREG(mode):
            yield name, real
        else:
            raise special(path)


def _require_text(path: Path) -> None:
    """Raise source.files.name for a name that JSON, or a list of lines, cannot have."""
    try:
        path.name.encode()
        why = "has a line break" if "\n" in path.name else None
    except UnicodeEncodeError:
        why = "is not UTF-8"
    if why is not None:
        raise ClocheError(
            "source.files.name",
            f"The name of a file {why}.",
            where=str(path).encode("utf-8", "backslashreplace").decode().replace("\n", "\\n"),
            hint="Rename it.",
        )


def special(path: Path) -> ClocheError:
    """Return the error for a socket, pipe or device where a file should be."""
    return ClocheError(
        "source.files.special",
        "This is neither a file nor a folder.",
        where=str(path),
        hint="Name a file that holds the model.",
    )
