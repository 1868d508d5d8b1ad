"""Whether a file begins like a pickle, told by its first bytes alone."""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING

from cloche.pickles.compressed import OPENERS
from cloche.pickles.opcodes import starts_like_a_pickle
from cloche.pickles.streams import Stream, Unreadable

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = 16
_FIRST = frozenset(ord(each.code) for each in pickletools.opcodes if not each.stack_before)
"""Opcodes that need no value before them."""


def begins_like_a_pickle(path: Path) -> bool:
    """Return whether a file is a pickle by its beginning, compressed as joblib does it or not.

    What follows is not read: `scan` tells whether it is whole.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            opener = next((o for start, o in OPENERS.items() if head.startswith(start)), None)
            if opener is None:
                return _begins(head)
            file.seek(0)
            return _begins(Stream(opener(file)).some(_HEAD))
    except (OSError, Unreadable):
        return False


def _begins(head: bytes) -> bool:
    return starts_like_a_pickle(head) and head[2] in _FIRST
