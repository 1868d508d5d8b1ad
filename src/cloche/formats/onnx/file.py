"""An ONNX file, walked without any library: whether it is complete, and where its weights are.

The message is ModelProto of onnx.proto. Tensors may keep their bytes in other files beside the
model (`TensorProto.external_data`, see "ONNX External Data"). Only the fields that lead to tensors
are walked; weights are skipped by their length and never read.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.formats.onnx import wire
from cloche.formats.onnx.codes import Codes, not_a_model
from cloche.formats.onnx.wire import WireError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.formats.onnx.wire import Buffer

_IR_VERSION, _GRAPH, _OPSET_IMPORT = 1, 7, 8
_MODEL_FIELDS = {
    _IR_VERSION: wire.VARINT, 2: wire.BYTES, 3: wire.BYTES, 4: wire.BYTES, 5: wire.VARINT,
    6: wire.BYTES, _GRAPH: wire.BYTES, _OPSET_IMPORT: wire.BYTES, 14: wire.BYTES, 20: wire.BYTES,
    25: wire.BYTES, 26: wire.BYTES,
}  # fmt: skip
"""The wire type of each field of ModelProto."""

_INTO = {
    "model": {_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""By message: the fields that lead to tensors, and the message that each holds."""

_DATA_LOCATION, _EXTERNAL_DATA, _EXTERNAL = 14, 13, 1
_DEEPEST = 100
"""The depth limit of protobuf's own parsers."""
_LARGEST_IR_VERSION = 100
_SHOWN_IR_VERSION = 0x08
"""The first byte of a model: the key of its IR version, a small number."""


@dataclass(frozen=True, slots=True)
class ExternalData:
    """A file of weights: its path in the model, and its least size in bytes."""

    location: str
    size: int


def external_data(path: Path, codes: Codes) -> tuple[ExternalData, ...]:
    """Return the other files that an ONNX file needs, by location.

    Raises ClocheError for a file that ends early or is not ONNX, with one of `codes`.
    """
    if path.stat().st_size == 0:
        raise not_a_model(codes.invalid, str(path), path.name, "it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        seen = _outline(data, path, codes)
        try:
            external = _collect(data)
        except WireError as error:
            why = f"its protobuf is damaged ({error})"
            raise not_a_model(codes.damaged, str(path), path.name, why) from None
    if _OPSET_IMPORT not in seen:
        raise _truncation(path, codes, None)
    return external


def _outline(data: Buffer, path: Path, codes: Codes) -> set[int]:
    """Return the top-level fields; raises for a field that ends beyond the file."""
    seen: set[int] = set()
    other = not_a_model(
        codes.invalid, str(path), path.name, "it is not the protobuf of an ONNX model"
    )
    try:
        for field in wire.fields(data, 0, len(data)):
            if _MODEL_FIELDS.get(field.number) != field.wire:
                raise other
            seen.add(field.number)
    except WireError as error:
        if not seen and not _begins_like_a_model(data):
            raise other from None
        raise _truncation(path, codes, error.end) from None
    if _GRAPH not in seen:
        code = codes.graphless if _IR_VERSION in seen else codes.invalid
        why = "it begins like one but has no graph, so it is cut off or was never complete"
        raise not_a_model(code, str(path), path.name, why)
    return seen


def _begins_like_a_model(data: Buffer) -> bool:
    return data[0] == _SHOWN_IR_VERSION and (len(data) == 1 or data[1] <= _LARGEST_IR_VERSION)


def _truncation(path: Path, codes: Codes, end: int | None) -> ClocheError:
    needed = f" It needs at least {end:,} bytes." if end else ""
    return ClocheError(
        codes.truncated,
        f"{path.name} is an ONNX model that is cut off after {path.stat().st_size:,} bytes."
        f"{needed}",
        where=str(path),
        hint="Copy or download the file again, and compare its size with that of the original.",
    )


def _collect(data: Buffer) -> tuple[ExternalData, ...]:
    sizes: dict[str, int] = {}
    pending = [("model", 0, len(data), 0)]
    while pending:
        kind, start, end, depth = pending.pop()
        if depth > _DEEPEST:
            raise WireError("its messages are nested too deep")
        if kind == "tensor":
            external = _external(data, start, end)
            if external is not None:
                sizes[external.location] = max(external.size, sizes.get(external.location, 0))
            continue
        into = _INTO[kind]
        pending.extend(
            (into[field.number], field.start, field.end, depth + 1)
            for field in wire.fields(data, start, end)
            if field.wire == wire.BYTES and field.number in into
        )
    return tuple(ExternalData(location, size) for location, size in sorted(sizes.items()))


def _external(data: Buffer, start: int, end: int) -> ExternalData | None:
    """Return the file that holds a TensorProto's bytes; None if it holds them itself."""
    entries: dict[str, str] = {}
    external = False
    for field in wire.fields(data, start, end):
        if field.number == _DATA_LOCATION and field.wire == wire.VARINT:
            external = field.value == _EXTERNAL
        elif field.number == _EXTERNAL_DATA and field.wire == wire.BYTES:
            pair = {
                part.number: data[part.start : part.end]
                for part in wire.fields(data, field.start, field.end)
                if part.wire == wire.BYTES
            }
            key = pair.get(1, b"").decode("utf-8", "replace")
            entries[key] = pair.get(2, b"").decode("utf-8", "surrogateescape")
    if not external:
        return None
    try:
        size = int(entries.get("offset") or 0) + int(entries.get("length") or 0)
    except ValueError:
        raise WireError("an offset of external data is not a number") from None
    return ExternalData(entries.get("location", ""), size)
