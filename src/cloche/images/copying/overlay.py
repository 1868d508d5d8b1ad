"""The files of an image's layers, one over the other; layers are read as streams.

What a layer removes of those below it is a file whose name begins with `.wh.`:
https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
"""

from __future__ import annotations

import hashlib
import itertools
import posixpath
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from cloche.errors import ClocheError
from cloche.images.sources.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.images.image import Blob
    from cloche.progress import Task

_REMOVED = ".wh."
_EMPTIED = ".wh..wh..opq"
_LONG_HEADERS = frozenset({
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
})  # fmt: skip
_LONGEST_HEADER = 2**20
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class File:
    """A file or a link."""

    size: int
    content: bytes
    """The SHA-256 of a file, or where a link points to."""


@dataclass(slots=True)
class Overlay:
    """The files of some layers of an image, and what they remove of layers that were not read."""

    files: dict[str, File] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def add(self, layer: Blob, task: Task) -> bool:
        """Lay a layer over those before; return False for one that cannot be read here.

        That is one compressed by zstd. Raises ClocheError `image.broken`, and those of reading.
        """
        read = _Layer()
        if not read.fill(layer, task):
            return False
        self._remove(read.removed, read.emptied)
        for path, target in read.hard_links.items():
            known = read.files.get(target) or self.files.get(target)
            read.files[path] = known or File(0, target.encode("utf-8", "surrogateescape"))
        self.files |= read.files
        return True

    def _remove(self, removed: set[str], emptied: set[str]) -> None:
        """Remove paths with all below them, and what is below others."""
        if not removed and not emptied:
            return
        found: set[str] = set()
        for path in list(self.files):
            folders = set(_folders(path))
            hit = removed & {path, *folders}
            if hit or emptied & folders:
                del self.files[path]
                found |= hit
        self.removed |= removed - found


@dataclass(slots=True)
class _Layer:
    """What one layer adds and removes."""

    files: dict[str, File] = field(default_factory=dict)
    hard_links: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    emptied: set[str] = field(default_factory=set)
    """Folders of which nothing of the layers below is seen."""

    def fill(self, layer: Blob, task: Task) -> bool:
        """Read a layer; return False if it is compressed by zstd."""
        chunks = _told(layer, task)
        first = next(chunks, b"")
        if first.startswith(_ZSTD):
            return False
        stream = Stream(itertools.chain((first,), chunks))
        try:
            with tarfile.open(
                fileobj=cast("IO[bytes]", stream), mode="r|*", tarinfo=BoundedMember
            ) as archive:
                for member in archive:
                    self._add(archive, member)
                    archive.members = []  # type: ignore[attr-defined] # it would keep them all
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise ClocheError(
                "image.broken",
                f"A layer of the image is no tar stream: {error}.",
                where=layer.descriptor.digest,
                hint="Copy or make it again.",
            ) from error
        stream.drain()
        return True

    def _add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = _normal(member.name)
        folder, name = posixpath.split(path)
        if name == _EMPTIED:
            self.emptied.add(folder)
        elif name.startswith(_REMOVED):
            self.removed.add(posixpath.join(folder, name.removeprefix(_REMOVED)))
        elif member.islnk():
            self.hard_links[path] = _normal(member.linkname)
        elif member.issym():
            self.files[path] = File(0, member.linkname.encode("utf-8", "surrogateescape"))
        elif member.isreg():
            self.files[path] = File(member.size, _digest(archive, member))


class BoundedMember(tarfile.TarInfo):
    """A member whose headers have a limit: they are read whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and self.size > _LONGEST_HEADER:
            raise tarfile.ReadError("a header in it is too large")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


def _folders(path: str) -> Iterator[str]:
    """Yield the folders above a path; the root is empty."""
    while path:
        path = posixpath.dirname(path)
        yield path


def _normal(name: str) -> str:
    return posixpath.normpath(f"/{name}").lstrip("/")


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    if content is None:
        return b""
    return hashlib.file_digest(content, "sha256").digest()  # type: ignore[arg-type]


def _told(layer: Blob, task: Task) -> Iterator[bytes]:
    for chunk in layer.chunks():
        yield chunk
        task.advance(len(chunk))
