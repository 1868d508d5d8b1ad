"""A gzip stream without compression (RFC 1951, 3.2.4; RFC 1952): the same bytes everywhere.

What a library of gzip makes of the same input depends on the library and its version. Weights
shrink by a few percent at most, so nothing is lost.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""Deflate, no name, no time, of no known system."""
_MOST = 2**16 - 1
"""Bytes of one stored block at most."""


def stored(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the stream of some bytes; it depends on the bytes alone, not on the chunks."""
    checksum, size, rest = 0, 0, b""
    yield _HEADER
    for chunk in chunks:
        checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
        rest += chunk
        whole = len(rest) - len(rest) % _MOST
        yield b"".join(_block(rest[at : at + _MOST]) for at in range(0, whole, _MOST))
        rest = rest[whole:]
    yield _block(rest, last=True)
    yield struct.pack("<II", checksum, size % 2**32)


def _block(data: bytes, *, last: bool = False) -> bytes:
    return struct.pack("<BHH", last, len(data), len(data) ^ _MOST) + data
