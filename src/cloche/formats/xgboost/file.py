"""XGBoost's files, told apart by their first bytes ("Introduction to Model IO" of XGBoost)."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from cloche.formats.sklearn.contents import version_of_booster

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = 4096
_JSON = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
_LEARNER = re.compile(rb'\s*\{\s*"learner"\s*:\s*\{\s*"(attributes|feature_names)"\s*:')
"""How a learner begins: its keys are in order."""
_UBJSON = re.compile(rb"\{(L\0{7}.|[iU].)(learner|version)", re.DOTALL)
_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]')
_PARAMETERS = 136
"""Bytes of LearnerModelParam, with which the binary format begins."""
_BOOSTERS = (b"gbtree", b"gblinear", b"dart")


def is_booster(path: Path) -> bool:
    """Return whether a file is a booster in JSON or UBJSON; it may be cut off."""
    head = _head(path)
    if _UBJSON.match(head) or _LEARNER.match(head):
        return True
    return bool(_JSON.match(head)) and _version_in_json(path) is not None


def version(path: Path) -> str | None:
    """Return the release that wrote a booster, None if it does not say so."""
    return version_of_booster(path) if _UBJSON.match(_head(path)) else _version_in_json(path)


def is_whole(path: Path) -> bool:
    """Return whether a booster in JSON or UBJSON ends as it has to: both are one object."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _HEAD))
        return file.read().rstrip(b" \t\r\n\0").endswith(b"}")


def is_binary(path: Path, head: bytes) -> bool:  # noqa: ARG001 - a look-alike's test takes it
    """Return whether first bytes are the deprecated binary format, which has no mark of its own.

    After the parameters stand the names of the objective and of the booster, each with its length
    in eight bytes (`LearnerIO::Load` of XGBoost 1.7).
    """
    head = head[4:] if head.startswith(b"binf") else head
    objective, rest = _text(head[_PARAMETERS:])
    booster, _ = _text(rest)
    return b":" in objective and booster in _BOOSTERS


def _text(data: bytes) -> tuple[bytes, bytes]:
    if len(data) < 8:
        return b"", b""
    (size,) = struct.unpack_from("<Q", data)
    return (data[8 : 8 + size], data[8 + size :]) if size < 64 else (b"", b"")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _version_in_json(path: Path) -> str | None:
    """Return the version at one of the ends of the file: the keys of XGBoost are in order."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _HEAD))
        end = file.read()
    found = _VERSION.search(end) or _VERSION.search(_head(path))
    return b".".join(found.groups()).decode() if found else None
