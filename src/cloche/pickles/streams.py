"""Bytes read once, forwards, with bounded memory; and what is said where they cannot be read."""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from cloche.pickles import limits

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 2**20


class Unreadable(Exception):
    """Something of a file that could not be read or resolved."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Malformed(Unreadable):
    """The bytes are no pickle: an unpickler fails at the same place."""


class Unresolved(Unreadable):
    """An unpickler may go on, but what it then does is not known."""


class TooLarge(Unreadable):
    """A bound of `limits` was met."""


@dataclass(frozen=True, slots=True)
class Content:
    """Some bytes of a model: where they are, and how to read them from the first one."""

    place: str
    open: Callable[[], BinaryIO]
    strict: bool = False
    """Whether they must be something that the scanner knows to its end."""
    depth: int = 0
    """How many archives or compressed streams they are in."""

    @property
    def name(self) -> str:
        """Return the name, for what is told by it; readers of archives ignore case."""
        return self.place.rpartition("/")[2].lower()

    def inside(self, place: str, open_: Callable[[], BinaryIO], *, strict: bool) -> Content:
        """Return content that is in this one."""
        return replace(self, place=place, open=open_, strict=strict, depth=self.depth + 1)

    def head(self, size: int) -> bytes:
        """Return at most the first bytes."""
        with self.open() as file:
            return Stream(file).some(size)


class Stream:
    """A file read forwards; foreign errors become Unreadable."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead = b""
        self.position = 0

    def some(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked for only at the end."""
        parts, missing = [self._ahead], size - len(self._ahead)
        if missing < 0:
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            self.position += size
            return taken
        self._ahead = b""
        try:
            while missing > 0 and (part := self._file.read(missing)):
                parts.append(part)
                missing -= len(part)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise Unreadable(f"Cannot read it: {error}.") from error
        data = b"".join(parts)
        self.position += len(data)
        return data

    def exactly(self, size: int) -> bytes:
        """Return the next bytes; raises Malformed where fewer are left."""
        data = self.some(size)
        if len(data) < size:
            raise Malformed(f"It ends in the middle, at byte {self.position}.")
        return data

    def skip(self, size: int) -> None:
        """Pass over bytes; raises Malformed where fewer are left."""
        while size > 0:
            size -= len(self.exactly(min(size, _CHUNK)))

    def line(self) -> bytes | None:
        """Return a line without its end, or None for one that is too long to be kept."""
        line, kept = b"", True
        while True:
            # An archive's member is no buffered file: readline would not be quicker there.
            part = self.some(256)
            before, end, after = part.partition(b"\n")
            line += before if kept else b""
            kept = kept and len(line) <= limits.LONGEST_KEPT
            if end:
                self._push_back(after)
                return line if kept else None
            if len(part) < 256:
                raise Malformed(f"It ends in the middle, at byte {self.position}.")

    def at_end(self) -> bool:
        """Return whether no byte is left."""
        byte = self.some(1)
        self._push_back(byte)
        return not byte

    def _push_back(self, data: bytes) -> None:
        self._ahead = data + self._ahead
        self.position -= len(data)
