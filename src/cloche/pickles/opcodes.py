"""The opcodes of a pickle, after the table of the standard library's pickletools.

`pickletools.genops` itself reads every argument into memory, and refuses texts that an unpickler
takes (a name beyond ASCII, a number with blanks): a pickle could stop it there, and go on. So only
its table is used. Arguments stay bytes, and what is longer than any name is passed over.
"""

from __future__ import annotations

import pickle
import pickletools
from typing import TYPE_CHECKING, NamedTuple

from cloche.pickles import limits
from cloche.pickles.streams import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.pickles.streams import Stream

_OPCODES = {
    ord(opcode.code): (
        opcode.name,
        opcode.arg.n if opcode.arg else 0,
        2 if opcode.arg and opcode.arg.name == "stringnl_noescape_pair" else 1,
    )
    for opcode in pickletools.opcodes
}
"""By byte: the name, the size of the argument (pickletools' marks are negative), its lines."""
_SIZES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
"""Bytes of the number that gives an argument's size."""


class Opcode(NamedTuple):
    """One step: its name in pickletools, its argument's bytes (None: too long) or lines."""

    name: str
    argument: bytes | None
    lines: tuple[bytes | None, ...] = ()


def starts_like_a_pickle(head: bytes) -> bool:
    """Return whether the first three bytes are a protocol and an opcode."""
    return (
        len(head) > 2
        and head[0] == pickle.PROTO[0]
        and head[1] <= pickle.HIGHEST_PROTOCOL
        and head[2] in _OPCODES
    )


def read_opcodes(stream: Stream) -> Iterator[Opcode]:
    """Yield the opcodes until STOP; raises Malformed where an unpickler would fail."""
    while True:
        code = stream.exactly(1)[0]
        if code not in _OPCODES:
            raise Malformed(f"It is no pickle from byte {stream.position - 1} on.")
        name, size, lines = _OPCODES[code]
        if size == pickletools.UP_TO_NEWLINE:
            yield Opcode(name, None, tuple(stream.line() for _ in range(lines)))
        elif size >= 0:
            yield Opcode(name, stream.exactly(size) if size else b"")
        else:
            # A size below zero is refused by an unpickler; read unsigned, it leads beyond the end.
            length = int.from_bytes(stream.exactly(_SIZES[size]), "little")
            yield Opcode(name, _sized(stream, length))
        if name == "STOP":
            return


def _sized(stream: Stream, length: int) -> bytes | None:
    if length <= limits.LONGEST_KEPT:
        return stream.exactly(length)
    stream.skip(length)
    return None
