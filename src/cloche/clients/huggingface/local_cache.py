"""What the hub's own client keeps of a repository on this machine; it is only read.

models--org--name/
  refs/main              the commit that a branch or tag named last
  snapshots/COMMIT/PATH  links to the blobs (files of their own where links are not possible)
  blobs/DIGEST           files by SHA-256 (Git LFS), or by the name that Git gives their bytes

https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cloche.clients.huggingface.names import COMMIT, SHA256
from cloche.clients.huggingface.repository import RepositoryFile

if TYPE_CHECKING:
    from collections.abc import Iterator


class LocalCache:
    """The cached part of one repository; `folder` is the cache of all of them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / ("models--" + name.replace("/", "--"))

    def commit(self, revision: str) -> str | None:
        """Return the commit that a revision named when it was last asked for; None if unknown."""
        if COMMIT.fullmatch(revision):
            return revision
        try:
            text = (self.folder / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if COMMIT.fullmatch(text) else None

    def blob(self, file: RepositoryFile) -> Path | None:
        """Return the file that should have the bytes of a listed one; None if there is none."""
        path = self.folder / "blobs" / file.blob
        return path if file.blob and path.is_file() else None

    def files(self, commit: str) -> dict[RepositoryFile, Path]:
        """Return the files of a commit that are here, each with the path of its bytes."""
        return dict(self._walk(self.folder / "snapshots" / commit))

    def _walk(self, snapshot: Path) -> Iterator[tuple[RepositoryFile, Path]]:
        inside = self.folder.resolve()
        for folder, _, names in os.walk(snapshot):
            for name in names:
                path = Path(folder, name)
                real = path.resolve()
                if real.is_file() and real.is_relative_to(inside):
                    listed = path.relative_to(snapshot).as_posix()
                    digest = _digest_of(real) if path.is_symlink() else None
                    yield RepositoryFile(listed, real.stat().st_size, digest), real


def _digest_of(blob: Path) -> str | None:
    """Return the digest that the name of a blob says."""
    if SHA256.fullmatch(blob.name):
        return f"sha256:{blob.name}"
    return f"git:{blob.name}" if COMMIT.fullmatch(blob.name) else None
