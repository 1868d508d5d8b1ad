"""Verification of stored files against their digests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloche.store.blobs import blob_path
from cloche.store.copying import digest_of_file
from cloche.store.disk import STAMP_NS
from cloche.store.layout import read_manifest
from cloche.store.locking import locked
from cloche.store.partials import remove

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.progress import Task
    from cloche.store.index import Index
    from cloche.store.layout import Layout


def verify(layout: Layout, index: Index, digest: str, progress: Task | None) -> bool:
    """Read a file or a tree again and remove damaged files; return whether there were none."""
    manifest = read_manifest(index, digest)
    if manifest is None:
        return _verify_file(layout, blob_path(layout.blobs, digest), digest, progress)
    folder = layout.tree(digest)
    damaged = False
    for entry in manifest.files:
        path, blob = folder / entry.path, blob_path(layout.blobs, entry.digest)
        damaged |= not _verify_file(layout, path, entry.digest, progress)
        if blob.exists() and not (path.exists() and path.samefile(blob)):
            damaged |= not _verify_file(layout, blob, entry.digest, None)
    if damaged:
        with locked(layout.guard):
            remove(folder)
    return not damaged


def _verify_file(layout: Layout, path: Path, digest: str, progress: Task | None) -> bool:
    try:
        good = digest_of_file(path, progress) == digest
    except FileNotFoundError:
        return False
    if not good:
        with locked(layout.guard):
            path.unlink(missing_ok=True)
    elif path.stat().st_mtime_ns != STAMP_NS:
        os.utime(path, ns=(path.stat().st_atime_ns, STAMP_NS))
    return good
