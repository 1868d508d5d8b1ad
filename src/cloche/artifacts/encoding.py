"""Artefacts as canonical JSON, and digests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import msgspec

    from cloche.artifacts.model import FileEntry

T = TypeVar("T")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()


def encode(value: object) -> bytes:
    """Return the canonical JSON of an artefact: sorted keys, no spaces, UTF-8."""
    import msgspec

    return msgspec.json.encode(value, order="sorted")


def to_builtins(value: object) -> Any:
    """Return an artefact as dicts, lists, strings and numbers."""
    import msgspec

    return msgspec.to_builtins(value)


def decode(kind: type[T], data: bytes | str) -> T:
    """Return the artefact in `encode`'s JSON; raises msgspec.ValidationError for any other JSON."""
    decoder: msgspec.json.Decoder[T] = _decoder_of(kind)
    return decoder.decode(data)


def convert(kind: type[T], value: Any) -> T:
    """Return the artefact in a value of `to_builtins`; raises msgspec.ValidationError."""
    import msgspec

    _decoder_of(kind)
    return msgspec.convert(value, type=kind)


def _decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type, with all that it is made of.

    msgspec notes what it learns of a dataclass on the class before it knows all of it; another
    thread that reads it meanwhile ends the process. So one thread at a time learns.
    """
    import msgspec

    found = _decoders.get(kind)
    if found is None:
        with _building:
            found = _decoders.get(kind) or msgspec.json.Decoder(kind)
            _decoders[kind] = found
    return found


def digest_of(data: bytes) -> str:
    """Return `sha256:<hex>` of some bytes."""
    import hashlib

    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of_files(files: tuple[FileEntry, ...]) -> str:
    """Return the digest of a tree: that of its sorted `digest size path` lines."""
    lines = sorted(f"{entry.digest} {entry.size} {entry.path}\n" for entry in files)
    return digest_of("".join(lines).encode())
