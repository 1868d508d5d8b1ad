"""Asks a model that answers with streams, over gRPC, for `ask.py` beside it.

A request and its answers are bodies as they are over HTTP; here they become messages of the
protocol (ModelStreamInfer of https://github.com/kserve/open-inference-protocol, gRPC) and back,
written by hand: the image need not have the library of Protocol Buffers.
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from send_grpc import Call, status_of  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Iterator

METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
PREFIX = struct.Struct("!BI")
"""Whether a message is compressed, and its size."""
VARINT, FIXED64, TEXT, FIXED32 = 0, 1, 2, 5
Message = dict[int, list[Any]]


class RefusedError(Exception):
    """The server refuses a request, and says why."""


def ask(
    model: str, body: bytes, header_length: int, *, port: int, limit: float
) -> list[tuple[bytes, int]]:
    """Return the answers to a request, each with the length of its JSON.

    Raises RefusedError, OSError and EOFError.
    """
    asked = {"host": "127.0.0.1", "port": port, "path": METHOD, "headers": {}, "limit": limit}
    message = request(model, body, header_length)
    call = Call(asked, PREFIX.pack(0, len(message)) + message)
    call.run()
    said = status_of(call.blocks)
    if said["status"]:
        raise RefusedError(said["message"] or f"gRPC status {said['status']}")
    return [found for each in _messages(bytes(call.data)) if (found := _answer(each))]


def request(model: str, body: bytes, header_length: int) -> bytes:
    """Return the ModelInferRequest of a binary body."""
    document, at = json.loads(body[:header_length]), header_length
    out, raw = _text(1, model), b""
    for name, value in (document.get("parameters") or {}).items():
        if name != "binary_data_output":
            out += _bytes(4, _text(1, name) + _bytes(2, _parameter(value)))
    for tensor in document["inputs"]:
        shape = b"".join(_varint(size) for size in tensor["shape"])
        described = _text(1, tensor["name"]) + _text(2, tensor["datatype"]) + _bytes(3, shape)
        out += _bytes(5, described)
        size = tensor["parameters"]["binary_data_size"]
        raw += _bytes(7, body[at : at + size])
        at += size
    return out + raw


def _parameter(value: Any) -> bytes:
    """Return an InferParameter."""
    if isinstance(value, bool):
        return _varint(1 << 3) + _varint(int(value))
    if isinstance(value, int):
        return _varint(2 << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(4 << 3 | FIXED64) + struct.pack("<d", value)
    return _text(3, str(value))


def _answer(message: bytes) -> tuple[bytes, int] | None:
    """Return what a ModelStreamInferResponse holds as a body; None where it has no outputs."""
    whole = _fields(message)
    if whole.get(1):
        raise RefusedError(whole[1][0].decode("utf-8", "replace"))
    response = _fields(b"".join(whole.get(2, ())))
    raw = response.get(6, [])
    outputs = [
        _output(each, len(data)) for each, data in zip(response.get(5, ()), raw, strict=True)
    ]
    header = json.dumps({"outputs": outputs}).encode()
    return (header + b"".join(raw), len(header)) if outputs else None


def _output(message: bytes, size: int) -> dict[str, Any]:
    tensor = _fields(message)
    return {
        "name": tensor[1][0].decode(),
        "datatype": tensor[2][0].decode(),
        "shape": list(_shape(tensor.get(3, ()))),
        "parameters": {"binary_data_size": size},
    }


def _shape(values: Any) -> Iterator[int]:
    """Yield the sizes of a repeated field: packed, or one by one."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            size, at = _read(value, at)
            yield size


def _messages(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        _, size = PREFIX.unpack_from(data, at)
        at += PREFIX.size
        yield data[at : at + size]
        at += size


def _fields(message: bytes) -> Message:
    """Return the values of each field of a message by its number, in their order."""
    found: Message = {}
    at = 0
    while at < len(message):
        key, at = _read(message, at)
        kind = key & 7
        if kind == VARINT:
            number, at = _read(message, at)
            found.setdefault(key >> 3, []).append(number)
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if size is None:
            size, at = _read(message, at)
        found.setdefault(key >> 3, []).append(message[at : at + size])
        at += size
    return found


def _read(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet, at = message[at], at + 1
        value |= (octet & 0x7F) << shift
        shift += 7
        if not octet & 0x80:
            return value, at


def _varint(value: int) -> bytes:
    """Return a number; negative ones as the 64 bits of their complement."""
    value &= 2**64 - 1
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | TEXT) + _varint(len(data)) + data


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
