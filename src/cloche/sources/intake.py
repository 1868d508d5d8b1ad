"""Copying files on this machine into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.store import Store

_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024
"""Bytes; the format has a few lines alone (git-lfs, docs/spec.md)."""


def take_in(
    files: dict[str, Path], *, title: str, store: Store, progress: Progress
) -> tuple[FileEntry, ...]:
    """Add files to the store under their paths in the model; bytes that are read show progress.

    Raises ClocheError `source.files.lfs` for a pointer in place of a file.
    """
    for path in files.values():
        _require_content(path)
    known = {path: store.known_file(path) for path in files.values()}
    missing = [path for path, entry in known.items() if entry is None]
    if missing:
        with progress.task(title, sum(path.stat().st_size for path in missing)) as task:
            known |= {path: store.add_file(path, task) for path in missing}
    return tuple(
        FileEntry(name, entry.size, entry.digest)
        for name, path in sorted(files.items())
        if (entry := known[path]) is not None
    )


def _require_content(path: Path) -> None:
    if path.stat().st_size > _LARGEST_POINTER:
        return
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ClocheError(
                "source.files.lfs",
                "This is a Git LFS pointer; the file itself has not been fetched.",
                where=str(path),
                hint="Run `git lfs pull` in its folder.",
            )
