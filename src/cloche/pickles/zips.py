"""The directory of a zip archive, read by itself.

Libraries read archives with different programs (Python's zipfile, miniz in torch), and these judge
the same file differently: by the central directory or by the headers before each member, with or
without flags, sums and bytes before the archive. Here a member is what the central directory points
to, whatever else is said of it; contradictions are findings. Source: PKWARE's APPNOTE.TXT 6.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from cloche.pickles import limits
from cloche.pickles.streams import Malformed, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 2**16 - 1
_FULL_32 = 2**32 - 1
_ZIP_64 = 1
"""The number of the extra field with sizes above 4 GiB."""
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, how it is compressed (0: not), and where its bytes are."""

    name: str
    method: int
    start: int
    """-1 where there is no member."""
    size: int
    """Compressed bytes."""
    contradictions: tuple[str, ...] = ()
    """What other readers may judge differently."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a central directory is, and how far the archive's own offsets are off."""

    start: int
    size: int
    shift: int


def directories(file: BinaryIO) -> list[Directory]:
    """Return where the central directory is for each way to read an archive; empty if none is.

    Python's zipfile counts back from the end of the directory, miniz from the start of the file:
    one directory for both, unless something stands before the archive.
    """
    length = file.seek(0, 2)
    tail_start = max(0, length - _LONGEST_COMMENT - _END.size)
    tail = _read(file, tail_start, length - tail_start)
    found = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if found < 0:
        return []
    end = tail_start + found
    *_, size, start, _ = _END.unpack_from(tail, found)
    ways = {Directory(start, size, 0)}
    for record in _large_ends(file, end) or [(end, size, start)]:
        ways |= _both_ways(*record)
    usable = [way for way in ways if way.start >= 0 and (not way.size or _begins(file, way.start))]
    if any(way.size > limits.LONGEST_DIRECTORY for way in usable):
        raise TooLarge("Its directory is larger than that of any model.")
    return usable


def _both_ways(end: int, size: int, start: int) -> set[Directory]:
    return {Directory(end - size, size, end - size - start), Directory(start, size, 0)}


def _large_ends(file: BinaryIO, end: int) -> list[tuple[int, int, int]]:
    """Return where a directory of an archive above 4 GiB ends, its size and its start.

    zipfile looks for its record right before the locator, miniz where the locator says.
    """
    at = end - _END_64_LOCATOR.size
    locator = _read(file, at, _END_64_LOCATOR.size) if at >= 0 else b""
    if locator[:4] != b"PK\6\7":
        return []
    ends = []
    for place in {at - _END_64.size, _END_64_LOCATOR.unpack(locator)[2]}:
        record = _read(file, place, _END_64.size) if 0 <= place < end else b""
        if record[:4] == b"PK\6\6" and len(record) == _END_64.size:
            *_, size, start = _END_64.unpack(record)
            ends.append((place, size, start))
    return ends


def members(file: BinaryIO, directory: Directory) -> Iterator[Member]:
    """Yield the members that a central directory names; raises Malformed, TooLarge."""
    data = _read(file, directory.start, directory.size)
    at = count = 0
    while at < len(data):
        count += 1
        if count > limits.MOST_MEMBERS:
            raise TooLarge(f"It has more than {limits.MOST_MEMBERS} members.")
        if data[at : at + 4] != b"PK\1\2" or at + _ENTRY.size > len(data):
            raise Malformed("Its directory does not read to the end.")
        fields = _ENTRY.unpack_from(data, at)
        flags, method, size, unpacked = fields[3], fields[4], fields[8], fields[9]
        name_length, extra_length, comment_length = fields[10:13]
        name_end = at + _ENTRY.size + name_length
        name, extra = data[at + _ENTRY.size : name_end], data[name_end : name_end + extra_length]
        start, size = _large(extra, unpacked, size, fields[16])
        yield _member(file, name, (flags, method), start + directory.shift, size)
        at = name_end + extra_length + comment_length


def _member(
    file: BinaryIO, name: bytes, flags_method: tuple[int, int], start: int, size: int
) -> Member:
    flags, method = flags_method
    header = _read(file, max(start, 0), _HEADER.size)
    text = name.decode("utf-8", "backslashreplace")
    if len(header) < _HEADER.size or header[:4] != b"PK\3\4":
        return Member(text, method, -1, 0, ("is not where the directory says",))
    fields = _HEADER.unpack(header)
    name_length, extra_length = fields[9:]
    own = _read(file, start + _HEADER.size, name_length)
    said = []
    if own != name:
        said.append(f"calls itself {own.decode('utf-8', 'backslashreplace')!r}")
    if fields[3] != method:
        said.append("says twice, differently, how it is compressed")
    if (flags | fields[2]) & _ENCRYPTED:
        said.append("says that it is encrypted")
    data_start = start + _HEADER.size + name_length + extra_length
    return Member(text, method, data_start, size, tuple(said))


def _large(extra: bytes, unpacked: int, size: int, start: int) -> tuple[int, int]:
    """Return start and size of a member; full fields are in the extra field instead."""
    while len(extra) >= 4:
        number, length = struct.unpack_from("<2H", extra)
        data, extra = extra[4 : 4 + length], extra[4 + length :]
        if number != _ZIP_64:
            continue
        values = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
        if unpacked == _FULL_32:
            next(values, 0)
        size = next(values, size) if size == _FULL_32 else size
        start = next(values, start) if start == _FULL_32 else start
    return start, size


def _begins(file: BinaryIO, start: int) -> bool:
    return _read(file, start, 4) == b"PK\1\2"


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
