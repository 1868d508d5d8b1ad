"""Tensors of the KServe v2 protocol as HTTP bodies, in JSON and in binary.

Protocol: https://github.com/kserve/open-inference-protocol (inference, HTTP/REST) and Triton's
`extension_binary_data.md`: a body may begin with JSON of the length that the header
`Inference-Header-Content-Length` gives, followed by the binary tensors in the JSON's order,
little-endian and row-major; BYTES elements each carry their length as four bytes before them.

numpy has no bfloat16: BF16 is read as float32, which holds all its values, and written from float32
by `Tensor` with the datatype `BF16`.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cloche.artifacts import DATATYPES
from cloche.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_DTYPES = {
    name: np.dtype(datatype.numpy).newbyteorder("<")
    for name, datatype in DATATYPES.items()
    if name not in {"BF16", "BYTES"}
}
"""The numpy type of a tensor on the wire."""
# The protocol has no JSON form of these: they are binary only.
_BINARY_ONLY = ("FP16", "BF16")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array with a datatype that numpy's dtype cannot express, such as BF16."""

    array: Array
    datatype: str


def datatype_of(array: Array) -> str:
    """Return the protocol's name of an array's dtype; text, bytes and objects are BYTES.

    Raises UsageError `tensor.datatype` for a dtype that the protocol lacks.
    """
    if array.dtype.kind in "SUO":
        return "BYTES"
    for name, dtype in _DTYPES.items():
        if dtype == array.dtype.newbyteorder("<"):
            return name
    raise UsageError(
        "tensor.datatype",
        f"Arrays of {array.dtype} cannot be sent; the protocol has {', '.join(DATATYPES)}.",
        hint="Convert the array with astype().",
    )


def encode(
    tensors: Mapping[str, Array | Tensor],
    *,
    binary: bool,
    outputs: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    request_id: str | None = None,
) -> tuple[bytes, int | None]:
    """Return the body of an inference request, and the length of its JSON (None: all of it).

    `outputs` names the requested outputs (None: all). `binary` requests binary outputs, too. Raises
    UsageError for a tensor without that form (FP16 and BF16 have no JSON form).
    """
    inputs: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    for name, given in tensors.items():
        array, datatype = _array_and_datatype(given)
        shape = list(array.shape)
        entry: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
        if binary:
            chunks.append(to_bytes(array, datatype))
            entry["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            entry["data"] = _to_json(name, array, datatype)
        inputs.append(entry)
    document: dict[str, Any] = {"inputs": inputs}
    if request_id is not None:
        document = {"id": request_id, **document}
    request_parameters = dict(parameters or {})
    if outputs is not None:
        document["outputs"] = [
            {"name": name, "parameters": {"binary_data": binary}} for name in outputs
        ]
    elif binary:
        request_parameters["binary_data_output"] = True
    if request_parameters:
        document["parameters"] = request_parameters
    head = json.dumps(document, separators=(",", ":"), allow_nan=True).encode()
    return (head + b"".join(chunks), len(head)) if binary else (head, None)


def decode(body: bytes, header_length: int | None) -> dict[str, Array]:
    """Return the tensors of a request or an answer by name.

    BYTES become arrays of `bytes` objects, BF16 becomes float32. Raises UsageError
    `tensor.malformed`, which names the tensor and its fault.
    """
    document = read_header(body, header_length)
    entries = document.get("outputs", document.get("inputs"))
    if not isinstance(entries, list):
        raise _malformed("The body has neither `inputs` nor `outputs`.")
    at = len(body) if header_length is None else header_length
    tensors: dict[str, Array] = {}
    for entry in entries:
        name, datatype, shape = _description(entry)
        size = (entry.get("parameters") or {}).get("binary_data_size")
        if size is None:
            tensors[name] = _from_json(name, entry.get("data"), datatype, shape)
            continue
        if not isinstance(size, int) or size < 0 or at + size > len(body):
            raise _malformed(f"The body ends before the binary data of {name} does.")
        tensors[name] = from_bytes(memoryview(body)[at : at + size], datatype, shape, name=name)
        at += size
    if at != len(body):
        raise _malformed(f"The body has {len(body) - at} bytes after its last tensor.")
    return tensors


def read_header(body: bytes, header_length: int | None) -> dict[str, Any]:
    """Return the JSON object at the beginning of a body."""
    if header_length is not None and not 0 <= header_length <= len(body):
        raise _malformed(f"The body is shorter than its header length, {header_length} bytes.")
    try:
        document = json.loads(body if header_length is None else body[:header_length])
    except (ValueError, RecursionError) as error:
        raise _malformed(f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise _malformed("The body is not a JSON object.")
    return document


def to_bytes(array: Array, datatype: str) -> bytes:
    """Return an array as the protocol's binary data."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(e)) + e for e in map(_as_bytes, array.ravel()))
    if datatype == "BF16":
        return _round_to_bfloat16(array).tobytes()
    return np.ascontiguousarray(array, dtype=_DTYPES[datatype]).tobytes()


def from_bytes(
    data: bytes | memoryview, datatype: str, shape: Sequence[int], *, name: str = "tensor"
) -> Array:
    """Return the array in binary data; numeric arrays are read-only views of the data."""
    count = math.prod(shape)
    if datatype == "BYTES":
        return _split(data, count, name).reshape(shape)
    width = 2 if datatype == "BF16" else _DTYPES[datatype].itemsize
    if len(data) != count * width:
        raise _malformed(
            f"{name} has {len(data)} bytes where shape {list(shape)} of {datatype} needs"
            f" {count * width}."
        )
    if datatype == "BF16":
        words = np.frombuffer(data, dtype="<u2").astype("<u4") << np.uint32(16)
        return words.view("<f4").reshape(shape)
    return np.frombuffer(data, dtype=_DTYPES[datatype]).reshape(shape)


def _array_and_datatype(given: Array | Tensor) -> tuple[Array, str]:
    if not isinstance(given, Tensor):
        array = np.asarray(given)
        return array, datatype_of(array)
    if given.datatype not in DATATYPES:
        raise UsageError(
            "tensor.datatype",
            f"{given.datatype} is not a datatype; the protocol has {', '.join(DATATYPES)}.",
        )
    return np.asarray(given.array), given.datatype


def _description(entry: Any) -> tuple[str, str, list[int]]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise _malformed("A tensor has no name.")
    name, datatype, shape = entry["name"], entry.get("datatype"), entry.get("shape")
    if datatype not in DATATYPES:
        raise _malformed(f"{name} has the datatype {datatype!r}, which the protocol does not have.")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise _malformed(f"{name} has the shape {shape!r}; it is a list of numbers from 0.")
    return name, datatype, shape


def _to_json(name: str, array: Array, datatype: str) -> list[Any]:
    if datatype in _BINARY_ONLY:
        raise UsageError(
            "tensor.binary_only",
            f"{name} is {datatype}, which the protocol cannot write in JSON.",
            hint="Send it in binary.",
        )
    if datatype != "BYTES":
        return array.astype(_DTYPES[datatype], copy=False).ravel().tolist()
    texts = []
    for element in map(_as_bytes, array.ravel()):
        try:
            texts.append(element.decode())
        except UnicodeDecodeError:
            raise UsageError(
                "tensor.binary_only",
                f"{name} has an element that is not UTF-8 text, which JSON cannot carry.",
                hint="Send it in binary.",
            ) from None
    return texts


def _from_json(name: str, data: Any, datatype: str, shape: list[int]) -> Array:
    if not isinstance(data, list):
        raise _malformed(f"{name} has no data.")
    flat = _flatten(data)
    count = math.prod(shape)
    if len(flat) != count:
        raise _malformed(f"{name} has {len(flat)} elements where shape {shape} needs {count}.")
    if datatype == "BYTES":
        if not all(isinstance(element, str) for element in flat):
            raise _malformed(f"{name} has an element that is not a string.")
        strings = np.empty(len(flat), dtype=object)
        strings[:] = [element.encode(errors="surrogatepass") for element in flat]
        return strings.reshape(shape)
    dtype = np.dtype("<f4") if datatype == "BF16" else _DTYPES[datatype]
    wanted = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}[dtype.kind]
    if not all(isinstance(element, wanted) and not _is_stray_bool(element, dtype)
               for element in flat):  # fmt: skip
        raise _malformed(f"{name} has an element that is not {datatype}.")
    try:
        return np.array(flat, dtype=dtype).reshape(shape)
    except OverflowError:
        raise _malformed(f"{name} has an element out of the range of {datatype}.") from None


def _is_stray_bool(element: object, dtype: np.dtype[Any]) -> bool:
    return isinstance(element, bool) and dtype.kind != "b"


def _flatten(data: list[Any]) -> list[Any]:
    """Return the elements of nested lists in row-major order; the protocol allows both forms."""
    while any(isinstance(element, list) for element in data):
        deeper: list[Any] = []
        for element in data:
            deeper.extend(element if isinstance(element, list) else [element])
        data = deeper
    return data


def _as_bytes(element: Any) -> bytes:
    if isinstance(element, bytes):
        return element
    if isinstance(element, str):
        return element.encode()
    raise UsageError(
        "tensor.datatype",
        f"A BYTES tensor holds text or bytes, and one element is a {type(element).__name__}.",
    )


def _split(data: bytes | memoryview, count: int, name: str) -> Array:
    view, at = memoryview(data), 0
    # Every element takes at least four bytes: a false shape never makes a large array.
    if count * 4 > len(view):
        raise _malformed(f"{name} has fewer than the {count} strings that its shape needs.")
    elements = np.empty(count, dtype=object)
    for index in range(count):
        if at + 4 > len(view):
            raise _malformed(f"{name} ends inside its element {index}.")
        (length,) = struct.unpack_from("<I", view, at)
        at += 4
        if at + length > len(view):
            raise _malformed(f"{name} ends inside its element {index}.")
        elements[index] = bytes(view[at : at + length])
        at += length
    if at != len(view):
        raise _malformed(f"{name} has {len(view) - at} bytes after its last string.")
    return elements


def _round_to_bfloat16(array: Array) -> Array:
    """Round float32 to the nearest bfloat16, ties to even; NaN stays NaN."""
    words = np.ascontiguousarray(array, dtype="<f4").view("<u4")
    half = np.uint32(16)
    rounded = (words + np.uint32(0x7FFF) + ((words >> half) & np.uint32(1))) >> half
    quiet = (words >> half) | np.uint32(0x40)
    return np.where(np.isnan(array), quiet, rounded).astype("<u2")


def _malformed(what: str) -> UsageError:
    return UsageError("tensor.malformed", what)
