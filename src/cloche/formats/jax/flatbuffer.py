"""A reader of one table of a FlatBuffers file (https://flatbuffers.dev/internals).

All numbers are little-endian, and offsets count from where they stand. A table begins with the
distance back to its vtable, which has the place of each field in the table, 0 for one that is left
out. Whatever the bytes are, only Malformed is raised.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap

_MOST = 10_000
"""Elements of a vector that are read."""


class Malformed(Exception):
    """The bytes are no such file."""


class Table:
    """The root table of a file; a field is named by its number, from 0."""

    def __init__(self, data: mmap | bytes) -> None:
        """Find the table; raises Malformed."""
        self._data = data
        self._at = self._number("<I", 0)
        self._fields = self._at - self._number("<i", self._at)
        self._size = self._number("<H", self._fields)

    def number(self, field: int, layout: str) -> int:
        """Return a number in the layout of `struct`; 0 for one that is left out."""
        place = self._place(field)
        return 0 if place is None else self._number(layout, place)

    def text(self, field: int) -> bytes | None:
        """Return the content of a string, or of a vector of bytes."""
        place = self._place(field)
        return None if place is None else self._string(place)

    def strings(self, field: int) -> tuple[bytes, ...]:
        """Return the elements of a vector of strings."""
        place = self._place(field)
        if place is None:
            return ()
        vector = place + self._number("<I", place)
        count = self._number("<I", vector)
        if count > _MOST:
            raise Malformed
        return tuple(self._string(vector + 4 + 4 * index) for index in range(count))

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return None
        offset = self._number("<H", self._fields + entry)
        return self._at + offset if offset else None

    def _string(self, place: int) -> bytes:
        start = place + self._number("<I", place)
        size = self._number("<I", start)
        if size > len(self._data) - start - 4:
            raise Malformed
        return self._data[start + 4 : start + 4 + size]

    def _number(self, layout: str, place: int) -> int:
        if not 0 <= place <= len(self._data) - struct.calcsize(layout):
            raise Malformed
        number: int = struct.unpack_from(layout, self._data, place)[0]
        return number
