"""Arrays of numpy: one of objects holds a pickle after its header (numpy.lib.format)."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, BinaryIO

from cloche.pickles import limits
from cloche.pickles.pickles import read_stream
from cloche.pickles.streams import Stream, TooLarge, Unresolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content

MAGIC = b"\x93NUMPY"
_PLAIN = re.compile(r"[<>=|]?[biufcmMSUV?]\d*(\[[^\]]*\])?")
"""A type of elements that are bytes alone."""


def read_npy(content: Content, found: Found, _: Callable[[Content], None]) -> None:
    """Read the pickle of an array of objects; raises Unreadable for a header that is none."""
    with content.open() as file:
        start, header = _header(Stream(file))
    try:
        described = ast.literal_eval(header)
        plain = _is_plain(described["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise Unresolved("Its header is none of numpy's.") from None
    if plain:
        return

    def open_() -> BinaryIO:
        file = content.open()
        Stream(file).skip(start)
        return file

    read_stream(content.inside(content.place, open_, strict=True), found)


def _header(stream: Stream) -> tuple[int, str]:
    """Return where the header ends, and the header."""
    version = stream.exactly(8)[6]
    size = int.from_bytes(stream.exactly(2 if version == 1 else 4), "little")
    if size > limits.LONGEST_NPY_HEADER:
        raise TooLarge("The header of its array is longer than any of numpy's.")
    text = stream.exactly(size).decode("latin-1" if version < 3 else "utf-8", "replace")
    return stream.position, text.strip()


def _is_plain(descr: object) -> bool:
    """Return whether elements are bytes alone; a list has a tuple of name and type per field."""
    if isinstance(descr, str):
        return _PLAIN.fullmatch(descr) is not None
    if isinstance(descr, tuple):
        return len(descr) == 2 and _is_plain(descr[0])
    return isinstance(descr, list) and all(
        isinstance(field, tuple) and len(field) > 1 and _is_plain(field[1]) for field in descr
    )
