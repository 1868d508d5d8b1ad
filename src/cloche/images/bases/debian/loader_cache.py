"""Writes /etc/ld.so.cache: which file has a library of a name.

The loader does without it, but Python's `ctypes.util.find_library` reads nothing else, and packages
of models look for the C library by it. The format is `struct cache_file_new` of glibc's
sysdeps/generic/dl-cache.h, little-endian.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from cloche.images.layering.file_tree import FileTree, TreeLink

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct(f"<{len(_MAGIC)}sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_LITTLE_ENDIAN = 2
_FLAGS = {"x86_64-linux-gnu": 0x0303, "aarch64-linux-gnu": 0x0A03}
"""An ELF library of glibc, for the machine of a folder."""
_LIBRARY = re.compile(rf"usr/lib/({'|'.join(_FLAGS)})/(lib[^/]+\.so[^/]*)")


def of_tree(tree: FileTree) -> bytes:
    """Return the cache of the libraries in a tree, by the names that others ask for."""
    linked = {
        f"{path.rpartition('/')[0]}/{entry.target}"
        for path, entry in tree.entries.items() if isinstance(entry, TreeLink)
    }  # fmt: skip
    found = (_LIBRARY.fullmatch(path) for path in tree.entries.keys() - linked)
    return _encoded({match[2]: (f"/{match[0]}", _FLAGS[match[1]]) for match in found if match})


def _encoded(libraries: Mapping[str, tuple[str, int]]) -> bytes:
    """Return the cache of libraries: the place and the flags by name."""
    begin = _HEADER.size + _ENTRY.size * len(libraries)
    entries, strings = bytearray(), bytearray()
    # The loader searches by bisection, from the greatest name on.
    for name, (path, flags) in sorted(libraries.items(), key=_rank, reverse=True):
        key = begin + len(strings)
        strings += name.encode() + b"\0"
        value = begin + len(strings)
        strings += path.encode() + b"\0"
        entries += _ENTRY.pack(flags, key, value, 0, 0)
    header = _HEADER.pack(_MAGIC, len(libraries), len(strings), _LITTLE_ENDIAN, 0)
    return header + bytes(entries + strings)


def _rank(library: tuple[str, object]) -> list[tuple[int, int]]:
    """Return what names are ordered by: numbers in them by value, and after all other signs."""
    parts = re.findall(r"\d+|\D", library[0])
    return [(1, int(part)) if part.isdigit() else (0, ord(part)) for part in parts]
