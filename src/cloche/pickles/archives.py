"""Zip archives: torch's files, arrays of numpy, models of Keras and skops."""

from __future__ import annotations

import bz2
import io
import tempfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from cloche.pickles import zips
from cloche.pickles.compressed import Counted, Inflating
from cloche.pickles.streams import Stream, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content
    from cloche.pickles.zips import Member

_SIZE = 2**16


class Window(io.RawIOBase):
    """A part of a file that others read too, as a file that can be sought in."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        wanted = max(0, min(memoryview(buffer).nbytes, self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        memoryview(buffer)[: len(data)] = data
        self._at += len(data)
        return len(data)


def read_archive(content: Content, found: Found, inner: Callable[[Content], None]) -> None:
    """Read every member of an archive by its content; raises Unreadable.

    Two ways to find the directory are two archives in one file: each is read.
    """
    with _seekable(content) as file:
        ways = zips.directories(file)
        if not ways:
            raise Unreadable("It begins like a zip archive and has no directory of one.")
        if len(ways) > 1 or ways[0].shift:
            what = "It holds something before the zip archive: programs may read it differently."
            found.finding("pickle.archive", what, content.place)
        for way in ways:
            try:
                listed = list(zips.members(file, way))
            except Unreadable as problem:
                found.unreadable(problem, content.place)
                continue
            _note_script(listed, found)
            for member in listed:
                _read_member(member, file, content, found, inner)


def is_archive(content: Content) -> bool:
    """Return whether a file ends like a zip archive, whatever it begins with."""
    with content.open() as file:
        return file.seekable() and bool(zips.directories(file))


def _note_script(members: list[Member], found: Found) -> None:
    """Note TorchScript; torch itself tells it by this member (torch.serialization)."""
    if any(member.name.lower().endswith("/constants.pkl") for member in members):
        found.torch.script = True


def _read_member(
    member: Member,
    file: BinaryIO,
    content: Content,
    found: Found,
    inner: Callable[[Content], None],
) -> None:
    place = f"{content.place}/{member.name}"
    for contradiction in member.contradictions:
        what = f"This member {contradiction}: programs may read the archive differently."
        found.finding("pickle.archive", what, place)
    if member.start < 0 or (member.name.endswith("/") and not member.size):
        return
    opener = _OPENERS.get(member.method)
    if opener is None:
        what = f"It is compressed in a way that the scanner cannot open ({member.method})."
        found.finding("pickle.unreadable", what, place)
        return

    def open_() -> BinaryIO:
        window = Window(file, member.start, member.size)
        if not member.method:
            return cast("BinaryIO", io.BufferedReader(window, _SIZE))
        packed = cast("BinaryIO", window)
        return cast("BinaryIO", io.BufferedReader(Counted(opener(packed), packed, found), _SIZE))

    inner(content.inside(place, open_, strict=False))


_OPENERS: dict[int, Callable[[BinaryIO], BinaryIO]] = {
    0: lambda file: file,
    8: lambda file: cast("BinaryIO", io.BufferedReader(Inflating(file, -zlib.MAX_WBITS), _SIZE)),
    12: lambda file: cast("BinaryIO", bz2.BZ2File(file)),
}
"""By the number of the method in APPNOTE.TXT."""


def _seekable(content: Content) -> BinaryIO:
    """Open content, through a temporary file where it cannot be sought in."""
    file = content.open()
    if file.seekable():
        return file
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    with file:
        stream = Stream(file)
        while part := stream.some(_SIZE):
            copy.write(part)
    return copy
