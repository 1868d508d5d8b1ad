"""What some bytes are, told by the bytes alone, and who reads them."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.pickles import limits
from cloche.pickles.archives import is_archive, read_archive
from cloche.pickles.compressed import CLOSED, OPENERS, read_compressed
from cloche.pickles.documents import read_json
from cloche.pickles.hdf5 import MAGIC as HDF5
from cloche.pickles.hdf5 import read_hdf5
from cloche.pickles.npy import MAGIC as NPY
from cloche.pickles.npy import read_npy
from cloche.pickles.opcodes import starts_like_a_pickle
from cloche.pickles.pickles import read_stream
from cloche.pickles.streams import TooLarge, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content

    Reader = Callable[[Content, Found, Callable[[Content], None]], None]

_BLOCK = 512
_SUMS = slice(148, 156)
"""The place of the checksum in a header of tar, counted as blanks."""
_READERS: dict[bytes, Reader] = {
    b"PK\3\4": read_archive,
    b"PK\5\6": read_archive,
    NPY: read_npy,
    HDF5: read_hdf5,
    **dict.fromkeys(OPENERS, read_compressed),
}
_BOTH = (b"BZ",)
"""What a container begins with, and a pickle may as well: BINBYTES with a size."""
_SUFFIXES = (
    ".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".sav", ".pt", ".pth",
)  # fmt: skip
"""Names of what a loader takes for a pickle; `.bin` and `.ckpt` are others' too."""


def read_content(content: Content, found: Found) -> None:
    """Read everything that some bytes may be for a loader; what cannot be read is a finding."""
    try:
        head = content.head(_BLOCK)
        if content.depth > limits.DEEPEST_ARCHIVE:
            raise TooLarge("It is inside of too many archives.")
        _read(content, head, found)
    except Unreadable as problem:
        found.unreadable(problem, content.place)


def must_be_a_pickle(name: str, head: bytes) -> bool:
    """Return whether bytes are taken for a pickle by their name or their beginning."""
    name = name.lower()
    named = name.endswith(_SUFFIXES) or (name.startswith("pytorch_model") and name.endswith(".bin"))
    return named or starts_like_a_pickle(head)


def _read(content: Content, head: bytes, found: Found) -> None:
    def inner(part: Content) -> None:
        read_content(part, found)

    reader = next((reader for start, reader in _READERS.items() if head.startswith(start)), None)
    if reader is not None:
        reader(content, found, inner)
    if reader is not read_archive and is_archive(content):
        # Some programs look at a file's end alone, and see an archive whatever stands before it.
        read_archive(content, found, inner)
    if (closed := _closed(head)) is not None:
        found.unreadable(Unreadable(closed), content.place)
    if content.name.endswith(".json"):
        read_json(content, found)
    if reader is None or head.startswith(_BOTH):
        read_stream(_judged(content, head, container=reader is not None), found)


def _judged(content: Content, head: bytes, *, container: bool) -> Content:
    """Return content that is strict where it must be a pickle.

    Storages of torch are named `data/0`: one that begins like a pickle may do so by chance.
    """
    storage = "/data/" in content.place and content.name.isdigit()
    must = content.strict or (not storage and must_be_a_pickle(content.name, head))
    return replace(content, strict=must and not container)


def _closed(head: bytes) -> str | None:
    """Return why a container stays closed, or None if it is none of these."""
    if _is_tar(head):
        return "It is a tar archive, which the scanner does not open."
    return next((why for start, why in CLOSED.items() if head.startswith(start)), None)


def _is_tar(head: bytes) -> bool:
    """Return whether the first block is a header of tar: its bytes have the sum that it says."""
    if len(head) < _BLOCK or not any(head):
        return False
    try:
        said = int(head[_SUMS].strip(b" \0") or b"-1", 8)
    except ValueError:
        return False
    rest = head[: _SUMS.start] + b" " * 8 + head[_SUMS.stop :]
    return said in (sum(rest), sum(struct.unpack(f"{_BLOCK}b", rest)))
