"""Which files an ONNX model consists of, read from its protobuf without any library.

Tensors may keep their bytes in other files beside the model (`TensorProto.external_data`, see
onnx.proto and "ONNX External Data"). Only the fields that lead to tensors are walked; weights are
skipped by their length and so never read.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Buffer = bytes | mmap.mmap

_MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""The wire type of each field of ModelProto."""

_INTO = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""By message, the fields that lead to tensors, with the message that each holds."""

_EXTERNAL = 1
_DEEPEST = 100
"""The depth to which protobuf's own parsers read."""


@dataclass(frozen=True, slots=True)
class ExternalData:
    """A file that holds weights: its path as the model names it, and the bytes it must have."""

    location: str
    size: int


class _MalformedError(Exception):
    pass


def external_data(path: Path) -> tuple[ExternalData, ...]:
    """Return the other files that an ONNX file needs, by location.

    Raises source.onnx.truncated for a file that ends early and source.onnx.invalid for one that is
    not ONNX.
    """
    if path.stat().st_size == 0:
        raise _invalid(path, "it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _check_model(data, path)
        try:
            return _collect(data)
        except _MalformedError as error:
            raise _invalid(path, f"its protobuf is damaged ({error})") from None


def _check_model(data: Buffer, path: Path) -> None:
    """Walk the top level only, where a cut file shows as a field that ends beyond the file."""
    seen: set[int] = set()
    try:
        for number, wire, _, _ in _fields(data, 0, len(data)):
            if _MODEL_FIELDS.get(number) != wire:
                raise _invalid(path, "it is not the protobuf of an ONNX model")
            seen.add(number)
    except _MalformedError:
        # The first field of a real model is its IR version, a small number.
        if data[0] != 0x08 or (len(data) > 1 and data[1] > 100):
            raise _invalid(path, "it is not the protobuf of an ONNX model") from None
        raise _truncated(path) from None
    if 7 not in seen:
        raise _truncated(path) if 1 in seen else _invalid(path, "it holds no graph")


def _collect(data: Buffer) -> tuple[ExternalData, ...]:
    sizes: dict[str, int] = {}
    pending = [("model", 0, len(data), 0)]
    while pending:
        kind, start, end, depth = pending.pop()
        if depth > _DEEPEST:
            raise _MalformedError("its messages are nested too deep")
        if kind == "tensor":
            found = _external(data, start, end)
            if found is not None:
                sizes[found.location] = max(found.size, sizes.get(found.location, 0))
            continue
        into = _INTO[kind]
        for number, wire, first, last in _fields(data, start, end):
            if wire == 2 and number in into:
                pending.append((into[number], first, last, depth + 1))
    return tuple(ExternalData(location, size) for location, size in sorted(sizes.items()))


def _external(data: Buffer, start: int, end: int) -> ExternalData | None:
    """Return where a TensorProto keeps its bytes; None when it holds them itself."""
    entries: dict[str, str] = {}
    external = False
    for number, wire, first, last in _fields(data, start, end):
        if number == 14 and wire == 0:
            external = first == _EXTERNAL
        elif number == 13 and wire == 2:
            pair = {n: data[a:b] for n, w, a, b in _fields(data, first, last) if w == 2}
            entries[pair.get(1, b"").decode("utf-8", "replace")] = pair.get(2, b"").decode(
                "utf-8", "surrogateescape"
            )
    if not external:
        return None
    try:
        size = int(entries.get("offset") or 0) + int(entries.get("length") or 0)
    except ValueError:
        raise _MalformedError("an offset of external data is not a number") from None
    return ExternalData(entries.get("location", ""), size)


def _fields(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (number, wire type, start, end) of each field; for a varint, its value as the start."""
    position = start
    while position < end:
        key, position = _varint(data, position, end)
        wire = key & 7
        if wire == 0:
            value, position = _varint(data, position, end)
            yield key >> 3, wire, value, position
            continue
        if wire == 2:
            size, position = _varint(data, position, end)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise _MalformedError(f"wire type {wire}")
        if position + size > end:
            raise _MalformedError("a field ends beyond its message")
        yield key >> 3, wire, position, position + size
        position += size


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _MalformedError("a number does not end")


def _truncated(path: Path) -> ClocheError:
    return ClocheError(
        "source.onnx.truncated",
        f"The ONNX file is cut off: it has {path.stat().st_size} bytes and should have more.",
        where=str(path),
        hint="Download or export it again, and compare its size with that of the original.",
    )


def _invalid(path: Path, why: str) -> ClocheError:
    return ClocheError(
        "source.onnx.invalid",
        f"This is not a usable ONNX file: {why}.",
        where=str(path),
        hint="Export the model to ONNX again, or check that this is the file you meant.",
    )
