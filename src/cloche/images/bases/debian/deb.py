"""Reads a package of Debian in memory: an ar archive with two tar archives (man 5 deb).

Nothing is unpacked to a disk and no script of it is run.
"""

from __future__ import annotations

import io
import lzma
import posixpath
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"!<arch>\n"
_HEADER = 60
_END = b"`\n"
_MOST = 256 * 2**20
"""Bytes of a package's files at most: the largest that is pinned has a twentieth."""


@dataclass(frozen=True, slots=True)
class DebFile:
    """A file of a package."""

    path: str
    """Without a leading slash or dot: `usr/bin/bash`."""
    data: bytes
    executable: bool


@dataclass(frozen=True, slots=True)
class DebLink:
    """A symbolic link of a package."""

    path: str
    target: str


def files(data: bytes, where: str) -> Iterator[DebFile | DebLink]:
    """Yield the files and symbolic links of a package, hard links as files of their own.

    Raises ClocheError `image.debian.broken` for anything else in it but folders, for a path that
    leads out of the image, and for what is no package.
    """
    try:
        with _tar(data, "data.tar", where) as archive:
            yield from _members(archive, where)
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise _broken(where, str(error)) from error


def control(data: bytes, where: str) -> bytes:
    """Return what a package says of itself; raises `image.debian.broken`."""
    try:
        with _tar(data, "control.tar", where) as archive:
            found = archive.extractfile("./control")
            if found is None:
                raise _broken(where, "its control is no file")
            return found.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, KeyError) as error:
        raise _broken(where, str(error)) from error


def _members(archive: tarfile.TarFile, where: str) -> Iterator[DebFile | DebLink]:
    known: dict[str, bytes] = {}
    for member in archive:
        path = _path(member.name, where)
        if member.isdir():
            continue
        if member.issym():
            yield DebLink(path, member.linkname)
            continue
        if member.isreg():
            stream = archive.extractfile(member)
            assert stream is not None  # noqa: S101 - regular files have one
            known[path] = stream.read()
        elif member.islnk() and (other := known.get(_path(member.linkname, where))) is not None:
            known[path] = other
        else:
            raise _broken(where, f"{path} is neither a file nor a folder nor a link to one")
        yield DebFile(path, known[path], bool(member.mode & 0o100))


def _path(name: str, where: str) -> str:
    """Return the plain path of a member."""
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == ".." or "\0" in path:
        raise _broken(where, f"{name!r} leads out of the image")
    return path


def _tar(data: bytes, name: str, where: str) -> tarfile.TarFile:
    """Open the tar archive of a name, whichever way it is compressed."""
    for own, content in _archives(data, where):
        if own == f"{name}.xz":
            return tarfile.open(fileobj=io.BytesIO(_unpacked(content, where)), mode="r:")
    raise _broken(where, f"it has no {name}.xz")


def _unpacked(data: bytes, where: str) -> bytes:
    stream = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
    unpacked = stream.decompress(data, _MOST)
    if not stream.eof:
        short = stream.needs_input
        raise _broken(where, "it ends early" if short else f"it has more than {_MOST} bytes")
    return unpacked


def _archives(data: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """Yield the members of an ar archive by name."""
    if not data.startswith(_MAGIC):
        raise _broken(where, "it is no ar archive")
    offset = len(_MAGIC)
    while offset < len(data):
        header = data[offset : offset + _HEADER]
        offset += _HEADER
        digits = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != _END or not digits.isdigit():
            raise _broken(where, "a header in it is damaged")
        size = int(digits)
        if offset + size > len(data):
            raise _broken(where, "it ends early")
        yield header[:16].decode("latin-1").strip().rstrip("/"), data[offset : offset + size]
        offset += size + size % 2


def _broken(where: str, why: str) -> ClocheError:
    return ClocheError(
        "image.debian.broken",
        f"The package cannot be read: {why}.",
        where=where,
        hint="Report it: the pins of Cloche name a package that it cannot read.",
    )
