"""Keras' models in HDF5: the description of the layers is JSON in an attribute.

HDF5 stores attributes as they are, so the bytes are searched, whatever the file's structure says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloche.pickles.documents import note_keras
from cloche.pickles.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content

MAGIC = b"\x89HDF\r\n\x1a\n"
_CHUNK = 2**22
_OVERLAP = 4096
_CLASS = re.compile(rb'"class_name"\s*:\s*"([^"\\]{1,200})"')
_MODULE = re.compile(rb'"module"\s*:\s*"([^"\\]{1,200})"')
_REGISTERED = re.compile(rb'"registered_name"\s*:\s*"([^"\\]{1,200})"')
_HIDDEN = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
"""A letter of ASCII written as an escape, which nobody's program does."""


def read_hdf5(content: Content, found: Found, _: Callable[[Content], None]) -> None:
    """Search the file for layers that bring code or name code beyond Keras; raises Unreadable."""
    with content.open() as file:
        stream = Stream(file)
        before = b""
        while part := stream.some(_CHUNK):
            _search(before + part, content.place, found)
            before = part[-_OVERLAP:]


def _search(data: bytes, place: str, found: Found) -> None:
    if _HIDDEN.search(data):
        what = "It has letters written as escapes: names in it may be hidden."
        found.finding("pickle.unresolved", what, place)
    for kind in set(_CLASS.findall(data)):
        _note({"class_name": kind}, place, found)
    for module in set(_MODULE.findall(data)):
        _note({"class_name": b"an object", "module": module}, place, found)
    for registered in set(_REGISTERED.findall(data)):
        if b">" in registered:
            _note({"class_name": b"an object", "registered_name": registered}, place, found)


def _note(entry: dict[str, bytes], place: str, found: Found) -> None:
    texts = {key: value.decode("utf-8", "replace") for key, value in entry.items()}
    note_keras({**texts, "config": None}, place, found)
