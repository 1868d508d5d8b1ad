"""Copying files on this machine into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.store import Store


def take_in(
    files: dict[str, Path], *, title: str, store: Store, progress: Progress
) -> tuple[FileEntry, ...]:
    """Add files to the store under their paths in the model; bytes that are read show progress."""
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
