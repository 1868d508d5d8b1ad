"""What lies where in a layer, before it is a tar stream: files, links and folders.

Links are never made on this machine, so nothing that is written can follow one.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.images.layering import tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file: its bytes, or where they are on this machine."""

    source: bytes | Path
    executable: bool = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        if isinstance(self.source, bytes):
            yield self.source
            return
        with self.source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        source = self.source
        return len(source) if isinstance(source, bytes) else source.stat().st_size


@dataclass(frozen=True, slots=True)
class TreeLink:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class TreeFolder:
    """A folder; `shared` is one in which everyone may make files, as /tmp."""

    shared: bool = False


Entry = TreeFile | TreeLink | TreeFolder


@dataclass(frozen=True, slots=True)
class FileTree:
    """Entries by their path from the root of the image: `usr/bin/bash`."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def add(self, path: str, entry: Entry) -> None:
        """Add an entry; raises ClocheError `image.tree` if it does not fit what is there."""
        parts = PurePosixPath(path).parts
        if not parts or "/".join(parts) != path or path.startswith("/") or ".." in parts:
            raise _clash(path, "is no plain path")
        for parent in map(str, PurePosixPath(path).parents[:-1]):
            if not isinstance(self.entries.setdefault(parent, TreeFolder()), TreeFolder):
                raise _clash(path, f"lies in {parent}, which is no folder")
        if self.entries.setdefault(path, entry) is not entry:
            raise _clash(path, "occurs twice")

    def add_folder(self, path: str, folder: Path, keep: Callable[[str], bool]) -> None:
        """Add the files of a folder of our own whose paths in it are kept.

        Who may run a file on this machine may run it in the image: some packages start programs.
        """
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder).as_posix()
            if file.is_file() and keep(inside):
                executable = bool(file.stat().st_mode & stat.S_IXUSR)
                self.add(f"{path}/{inside}", TreeFile(file, executable))

    def stream(self) -> Iterator[bytes]:
        """Yield the tree as a tar stream, the same bytes for the same entries."""
        for path, entry in sorted(self.entries.items()):
            match entry:
                case TreeFolder():
                    yield tar.folder_header(path, shared=entry.shared)
                case TreeLink():
                    yield tar.link_header(path, entry.target)
                case TreeFile():
                    size = entry.size
                    yield tar.file_header(path, size, executable=entry.executable)
                    yield from entry.chunks()
                    yield bytes(tar.padding(size))
        yield tar.END


def _clash(path: str, why: str) -> ClocheError:
    return ClocheError(
        "image.tree",
        f"The path {path!r} {why}.",
        where=path,
        hint="Report it: the parts of this image do not fit together.",
    )
