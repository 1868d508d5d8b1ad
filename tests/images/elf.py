"""What a program or a library of Linux asks of the loader, by the ELF specification."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_DYNAMIC, _LOAD = 2, 1
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29


@dataclass(frozen=True)
class Asked:
    """The names of libraries, and the folders that it looks into itself."""

    needed: tuple[str, ...]
    folders: tuple[str, ...]


def read(data: bytes) -> Asked | None:
    """Read a 64-bit file; None for any other."""
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    offset, size, count = struct.unpack_from("<Q14xHH", data, 32)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + n * size) for n in range(count)]
    loads = [(address, begin, length) for kind, _, begin, address, _, length in headers
             if kind == _LOAD]  # fmt: skip
    entries: list[tuple[int, int]] = []
    for kind, _, begin, _, _, length in headers:
        if kind == _DYNAMIC:
            entries = [struct.unpack_from("<QQ", data, begin + n) for n in range(0, length, 16)]
    place = next((value for tag, value in entries if tag == _STRINGS), 0)
    strings = next((begin + place - address for address, begin, length in loads
                    if address <= place < address + length), 0)  # fmt: skip

    def text(value: int) -> str:
        return data[strings + value : data.index(b"\0", strings + value)].decode()

    needed = tuple(text(value) for tag, value in entries if tag == _NEEDED)
    paths = [text(value) for tag, value in entries if tag in {_RPATH, _RUNPATH}]
    return Asked(needed, tuple(folder for path in paths for folder in path.split(":")))
