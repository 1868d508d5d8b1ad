"""Trees of files by digest: folders of hard links to blobs, made atomically."""

from __future__ import annotations

import errno
import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.files import sync_folder
from cloche.store.disk import STAMP_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloche.artifacts import FileEntry

_NO_LINKS = frozenset({errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.ENOSYS})


def check_paths(files: Iterable[FileEntry]) -> None:
    """Raise `store.path` for a path that leaves the tree or clashes with another."""
    taken: set[str] = set()
    folders: set[str] = set()
    for entry in files:
        parts = PurePosixPath(entry.path).parts
        plain = "/".join(parts) == entry.path and ".." not in parts
        # The digest of a tree is that of its lines.
        plain = plain and not {"\0", "\n"} & set(entry.path)
        if not plain or not parts or entry.path.startswith("/"):
            raise _path_error(entry.path, "is not a plain path inside its folder")
        if entry.path in taken:
            raise _path_error(entry.path, "occurs twice")
        taken.add(entry.path)
        folders.update(str(parent) for parent in PurePosixPath(entry.path).parents)
    for path in sorted(taken & folders):
        raise _path_error(path, "is both a file and a folder")


def _path_error(path: str, why: str) -> ClocheError:
    return ClocheError(
        "store.path",
        f"The path {path!r} {why}.",
        where=path,
        hint="Rename the file in its source; Cloche writes nothing outside its own folder.",
    )


def fill(
    folder: Path,
    files: Iterable[FileEntry],
    blob_path: Callable[[str], Path],
    copy: Callable[[Path, Path], None],
) -> None:
    """Link every file into a new folder, durably; call `copy(blob, target)` if links fail."""
    folders = {folder}
    for entry in files:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.update(parent for parent in target.parents if parent.is_relative_to(folder))
        blob = blob_path(entry.digest)
        try:
            os.link(blob, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            copy(blob, target)
    for made_folder in folders:
        sync_folder(made_folder)


def suspects(folder: Path, files: Iterable[FileEntry]) -> list[FileEntry]:
    """Return the files that are missing or changed, by `stat` alone."""
    return [entry for entry in files if not is_untouched(folder / entry.path, entry.size)]


def is_untouched(path: Path, size: int | None = None) -> bool:
    """Return whether a stored file exists and is unchanged, by `stat` alone."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return status.st_mtime_ns == STAMP_NS and size in {None, status.st_size}
