"""Files by name in a folder or in a tar archive, which is read in place."""

from __future__ import annotations

import json
import os
import posixpath
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cloche.errors import ClocheError, NotFoundError
from cloche.images.destinations.digesting import checked
from cloche.images.image import Descriptor, changed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_CHUNK = 2**20
_MOST_TEXT = 16 * 2**20
"""Bytes of a JSON document at most."""


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive bytes of a file on disk."""

    path: Path
    offset: int
    size: int

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on."""
        with _reading(self.path):
            source = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while start < self.size:
                block = os.pread(source, min(_CHUNK, self.size - start), self.offset + start)
                if not block:
                    raise changed(str(self.path))
                start += len(block)
                yield block
        finally:
            os.close(source)

    def read(self) -> bytes:
        """Return the bytes of a document; raises `image.broken` if it is too large for one."""
        if self.size > _MOST_TEXT:
            raise broken(self.path, "a document in it is too large")
        return b"".join(self.chunks())


class Place(Protocol):
    """Files by name."""

    @property
    def path(self) -> Path:
        """Return the folder or the archive."""

    def find(self, name: str) -> Range | None:
        """Return the bytes of a file; None if there is none of that name."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The files under a folder."""

    path: Path

    def find(self, name: str) -> Range | None:
        """Return the bytes of a file; None if there is none of that name."""
        file = self.path / name
        with _reading(file):
            return Range(file, 0, file.stat().st_size) if file.is_file() else None


class Archive:
    """The files in a tar archive; links in it are followed, nothing is unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Range | str] = {}
        try:
            with _reading(path), tarfile.open(path, "r:") as archive:
                for member in archive:
                    self._add(member)
        except (tarfile.TarError, EOFError) as error:
            raise _not_a_tar(path) from error

    def find(self, name: str) -> Range | None:
        """Return the bytes of a file; None if there is none of that name."""
        for _ in range(16):
            found = self._members.get(posixpath.normpath(name))
            if not isinstance(found, str):
                return found
            name = found
        return None

    def _add(self, member: tarfile.TarInfo) -> None:
        name = posixpath.normpath(member.name)
        if member.isreg():
            self._members[name] = Range(self.path, member.offset_data, member.size)
        elif member.issym():
            self._members[name] = posixpath.join(posixpath.dirname(name), member.linkname)
        elif member.islnk():
            self._members[name] = member.linkname


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob in a layout or an archive."""

    descriptor: Descriptor
    range: Range

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on; see `image.Blob`."""
        if start:
            yield from self.range.chunks(start)
            return
        digest = self.descriptor.digest
        yield from checked(self.range.chunks(), digest, f"{digest} in {self.range.path}")


def opened(path: Path) -> Place:
    """Return the files of a folder or an archive; raises `image.missing`, `image.unknown`."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise ClocheError(
            "image.missing",
            "There is no such file or folder.",
            where=str(path),
            hint="Name the folder of an OCI layout, or an archive that `docker save` or"
            " `cloche image build` wrote.",
        )
    return Archive(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate the OSErrors of reading."""
    try:
        yield
    except OSError as error:
        raise ClocheError(
            "image.unreadable",
            f"Cannot read it: {error.strerror}.",
            where=str(error.filename or path),
            hint="Check its permissions and who owns it.",
        ) from error


def document(place: Place, found: Range) -> Any:
    """Return the JSON of a file."""
    return parsed(place, found.read())


def parsed(place: Place, data: bytes) -> Any:
    """Return the JSON of a document; raises `image.broken`."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise broken(place.path, "a document in it is no JSON") from error


def unnamed(path: Path, name: str | None, known: Iterable[str]) -> ClocheError:
    """Return the error for a name that no image of a layout or an archive has."""
    there = ", ".join(sorted(set(known)))
    return NotFoundError(
        "image.name",
        f"No image in it is called {name}; there is {there or 'none with a name'}.",
        where=str(path),
        hint="Write one of these names, or the path alone if it holds one image.",
    )


def broken(path: Path | str, why: str) -> ClocheError:
    """Return the error for an image that does not hold together."""
    return ClocheError(
        "image.broken",
        f"The image is damaged: {why}.",
        where=str(path),
        hint="Copy or make it again.",
    )


def unknown(path: Path | str, why: str, hint: str | None = None) -> ClocheError:
    """Return the error for something that is no image."""
    return ClocheError(
        "image.unknown",
        f"This is not an image: {why}.",
        where=str(path),
        hint=hint or "Name the folder of an OCI layout, or an archive of `docker save`.",
    )


def _not_a_tar(path: Path) -> ClocheError:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b" or magic == b"\x28\xb5\x2f\xfd":
        tool = "gunzip" if magic[:2] == b"\x1f\x8b" else "unzstd"
        hint = f"Unpack it first, as by `{tool}`: layers are read from it in place."
        return unknown(path, "the archive is compressed", hint)
    return unknown(path, "the file is no tar archive")
