"""Attributes of the root of an HDF5 file, as Keras writes them: text of any length.

h5py stores such text in a global heap, and in the attribute where it is. Source: HDF5 File Format
Specification 3.0, IV.A.2.m (the Attribute message, versions 1 and 3) and III.E (global heap). The
file is searched for the attribute's name, whatever its structure says.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

MAGIC = b"\x89HDF\r\n\x1a\n"
_MESSAGE = struct.Struct("<BxHHH")
"""Version, and the sizes of name, datatype and dataspace."""
_LAYOUTS = {1: (0, 8), 3: (1, 1)}
"""By version: bytes between the sizes and the name, and what each part is filled up to."""
_IN_HEAP = struct.Struct("<IQI")
"""The length of the text, the heap's address, and the object's number in it."""
_OBJECT = struct.Struct("<HHIQ")
"""Number, references, 4 empty bytes, and size."""
_HEAP, _HEAP_HEADER = b"GCOL", 16
_MOST_OBJECTS = 10_000
_LONGEST = 2**28


def attribute(data: mmap | bytes, name: str) -> bytes | None:
    """Return the text of an attribute; None if the file has none that Keras could have written."""
    for place in _places(data, name.encode() + b"\0"):
        text = _text(data, place, len(name) + 1)
        if text is not None:
            return text
    return None


def _places(data: mmap | bytes, wanted: bytes) -> Iterator[int]:
    place = data.find(wanted)
    while place >= 0:
        yield place
        place = data.find(wanted, place + 1)


def _text(data: mmap | bytes, place: int, name_size: int) -> bytes | None:
    for version, (between, unit) in _LAYOUTS.items():
        try:
            written, size, *parts = _MESSAGE.unpack_from(data, place - _MESSAGE.size - between)
            if (written, size) == (version, name_size):
                value = place + sum(-(-part // unit) * unit for part in (size, *parts))
                return _object(data, *_IN_HEAP.unpack_from(data, value))
        except (struct.error, ValueError, OverflowError):  # an address that is none
            continue
    return None


def _object(data: mmap | bytes, length: int, heap: int, wanted: int) -> bytes | None:
    if data[heap : heap + 4] != _HEAP or length > _LONGEST:
        return None
    place = heap + _HEAP_HEADER
    for _ in range(_MOST_OBJECTS):
        number, _, _, size = _OBJECT.unpack_from(data, place)
        place += _OBJECT.size
        if number == wanted:
            return data[place : place + min(length, size)]
        if number == 0:
            return None
        place += -(-size // 8) * 8
    return None
