"""Mutated HTTP requests as the bytes that are sent: made from a seed alone."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ODD_NUMBERS = (
    0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
    -(2**63), 1e300, 1.5, 10**400,
)  # fmt: skip
_ODD_VALUES = (*_ODD_NUMBERS, None, True, "", "x", "shape", [], {}, [[]], [None], {"a": 1})
_KEYS = (
    "inputs", "outputs", "parameters", "name", "datatype", "shape", "data", "id", "classification",
    "binary_data", "binary_data_size", "binary_data_output", "shared_memory_region",
    "shared_memory_byte_size", "shared_memory_offset", "sequence_id", "sequence_start", "priority",
    "timeout", "triton_enable_empty_final_response", "x", "y",
)  # fmt: skip
_DATATYPES = ("FP32", "FP16", "FP64", "BF16", "BOOL", "INT8", "INT64", "UINT64", "BYTES", "JSON")
_BYTES = (
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b",",
    b"\0",
    b"\xff",
    b"/*",
    b"\\u0000",
    b"NaN",
)
_PATHS = (
    "", "/", "/infer", "/infer", "/infer", "/infer", "/generate", "/generate_stream", "/ready",
    "/config", "/stats", "/versions/1/infer", "/versions/2/infer", "/infer/", "/infer?a=1",
    "/trace/setting", "/../../repository/index", "/%69nfer", "/load",
)  # fmt: skip
_OUTSIDE = (
    "/v2", "/v2/health/live", "/v2/repository/index", "/v2/systemsharedmemory/status",
    "/v2/logging", "/v2/trace/setting", "/metrics", "/v2/cudasharedmemory/region/a/register", "*",
)  # fmt: skip


@dataclass(frozen=True)
class HttpRequest:
    """What is sent on one connection, and whether all that it announces is sent."""

    data: bytes
    kind: str
    whole: bool = True
    head: bool = False
    """Whether its answer has no body."""


def make(chance: random.Random, model: str) -> HttpRequest:
    """Return the next mutated request to a model."""
    kind, build = chance.choices(_KINDS, weights=[weight for _, _, weight in _BUILDERS])[0]
    body, headers = build(chance)
    return _framed(chance, kind, model, body, headers)


# ── bodies ────────────────────────────────────────────────────────────────────────────────────

_Body = tuple[bytes, dict[str, str]]


def _document(chance: random.Random) -> dict[str, Any]:
    count = chance.choice((1, 2, 2, 8, 64))
    data = [round(chance.uniform(-9, 9), 3) for _ in range(count)]
    given = {"name": "x", "datatype": "FP32", "shape": [count], "data": data}
    return {"inputs": [given], "outputs": [{"name": "y"}], "parameters": {}, "id": "1"}


def _replaced(chance: random.Random, value: Any, depth: int = 0) -> Any:
    """Return a copy of a document with a few places changed."""
    if chance.random() < 0.06:
        return chance.choice((*_ODD_VALUES, *_DATATYPES))
    if isinstance(value, dict):
        items = [(key, _replaced(chance, each, depth + 1)) for key, each in value.items()]
        if chance.random() < 0.15:
            items.append((chance.choice(_KEYS), chance.choice((*_ODD_VALUES, value))))
        return {
            chance.choice(_KEYS) if chance.random() < 0.03 else key: each
            for key, each in items
            if chance.random() > 0.03
        }
    if isinstance(value, list):
        made = [_replaced(chance, each, depth + 1) for each in value]
        if made and chance.random() < 0.1:
            made *= chance.choice((0, 2, 50))
        return made
    return value


def _structured(chance: random.Random) -> _Body:
    return _text(chance, _replaced(chance, _document(chance))), {}


def _text(chance: random.Random, document: Any) -> bytes:
    text = json.dumps(document, indent=chance.choice((None, None, None, 1)))
    if chance.random() < 0.05:
        text = text.replace('"shape"', '"\\u0073hap\\u0065"')
    return text.encode()


def _shapes(chance: random.Random) -> _Body:
    document = _document(chance)
    sizes = [chance.choice((*_ODD_NUMBERS, 2, 3)) for _ in range(chance.randint(0, 4))]
    document["inputs"][0] |= {"shape": sizes, "datatype": chance.choice(_DATATYPES)}
    return _text(chance, document), {}


def _scrambled(chance: random.Random) -> _Body:
    data = bytearray(_text(chance, _document(chance)))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.choice(_BYTES)
            case 1:
                del data[at : at + chance.randint(1, 20)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                data[at:at] = data[: chance.randint(0, 50)]
    return bytes(data), {}


def _binary(chance: random.Random) -> _Body:
    count = chance.choice((1, 2, 64, 64, 5000))
    told = chance.choice((4 * count,) * 6 + (4 * count - 1, *_ODD_VALUES))
    given = {"name": "x", "datatype": "FP32", "shape": [count]}
    given |= {"parameters": {"binary_data_size": told}}
    document = {"inputs": [given], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
    if chance.random() < 0.4:
        document = _replaced(chance, document)
    text = _text(chance, document)
    length = chance.choice(
        (str(len(text)),) * 8
        + (str(len(text) + 1), "0", "-1", "", "x", "1e3", "0x9", "99999999999999999999", "1, 2")
    )
    return text + chance.randbytes(4 * count), {"Inference-Header-Content-Length": length}


def _large(chance: random.Random) -> _Body:
    size = int(10 ** chance.uniform(3, 5.7))
    pieces: tuple[Callable[[], bytes], ...] = (
        lambda: b"[" * size,
        lambda: b'{"a":' * (size // 5),
        lambda: b'{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":['
        + b"0," * (size // 2) + b"0]}]}",
        lambda: b'{"inputs":' + b"[" * size,
        lambda: json.dumps({"parameters": dict.fromkeys(map(str, range(size // 50)), 1)}).encode(),
        lambda: b'{"id":"' + b"a" * size + b'","inputs":[]}',
        lambda: b'{"' + b"k" * size + b'":1}',
        lambda: b" " * size + _shapes(chance)[0],
        lambda: b'["' + b"\\" * size,
        lambda: chance.randbytes(size),
    )  # fmt: skip
    return chance.choice(pieces)(), {}


def _compressed(chance: random.Random) -> _Body:
    body, headers = chance.choice((_structured, _shapes, _binary, _large))(chance)
    name = chance.choice(("gzip", "deflate"))
    packed = gzip.compress(body, 1) if name == "gzip" else zlib.compress(body, 1)
    if chance.random() < 0.2:
        cut = chance.randrange(len(packed) + 1)
        packed = packed[:cut] + chance.randbytes(chance.randrange(9))
    if chance.random() < 0.1:
        name = chance.choice(("gzip", "deflate", "br", "identity", "GZIP", "gzip, gzip", ""))
    return packed, headers | {"Content-Encoding": name}


_Builder = Callable[[random.Random], _Body]
_BUILDERS: tuple[tuple[str, _Builder, int], ...] = (
    ("structure", _structured, 30), ("shapes", _shapes, 20), ("bytes", _scrambled, 20),
    ("binary", _binary, 20), ("compressed", _compressed, 8), ("large", _large, 4),
)  # fmt: skip
_KINDS = [(name, build) for name, build, _ in _BUILDERS]


# ── framing ───────────────────────────────────────────────────────────────────────────────────


def _framed(
    chance: random.Random, kind: str, model: str, body: bytes, headers: dict[str, str]
) -> HttpRequest:
    method, path, whole = "POST", f"/v2/models/{model}/infer", True
    if chance.random() < 0.15:
        path = f"/v2/models/{model}{chance.choice(_PATHS)}"
    if chance.random() < 0.02:
        path = chance.choice(_OUTSIDE)
    if chance.random() < 0.03:
        method = chance.choice(("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "post"))
    lines = {"Host": "localhost", **headers}
    framing = chance.random()
    if framing < 0.08:
        lines["Transfer-Encoding"] = "chunked"
        body = _in_chunks(chance, body)
    elif framing < 0.1:
        told = len(body) + chance.choice((-1, 1, 1000))
        lines["Content-Length"], whole = str(max(0, told)), False
    elif framing < 0.11:
        lines["Content-Length"] = chance.choice(("-1", "x", "99999999999999999999", "1, 1"))
        whole = False
    else:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    data = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
    return HttpRequest(data, kind, whole, head=method == "HEAD")


def _in_chunks(chance: random.Random, body: bytes) -> bytes:
    size = max(1, chance.choice((1, 100, len(body))), len(body) // 50)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
