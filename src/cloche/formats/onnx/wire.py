"""Protocol Buffers on the wire, walked by lengths: skipped bytes are never read.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer = bytes | mmap.mmap
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(Exception):
    """The bytes are not a message; `end` is where they should end, if known."""

    def __init__(self, why: str, end: int | None = None) -> None:
        super().__init__(why)
        self.end = end


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: bytes from `start` to `end`, or a number's `value`."""

    number: int
    wire: int
    start: int
    end: int
    value: int = 0


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message between two positions; raises WireError."""
    position = start
    while position < end:
        key, position = _varint(data, position, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, after = _varint(data, position, end)
            yield Field(number, wire, position, after, value)
            position = after
            continue
        if wire == BYTES:
            size, position = _varint(data, position, end)
        elif wire in {FIXED64, FIXED32}:
            size = 8 if wire == FIXED64 else 4
        else:
            raise WireError(f"wire type {wire}")
        if position + size > end:
            raise WireError("a field ends beyond its message", position + size)
        yield Field(number, wire, position, position + size)
        position += size


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise WireError("a number does not end")
