"""Tensors as KServe v2 bodies, for scripts that have only numpy.

A body is JSON (`{"inputs": […]}` or `{"outputs": […]}`) followed by the raw tensors in its order,
little-endian and row-major; an element of BYTES is preceded by its length in four bytes. Source:
the binary tensor data extension of the protocol, which Triton documents at
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import ctypes
import json
import signal
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1",
    "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""The numpy type of each datatype of the protocol except BYTES, which is an array of objects."""


def datatype_of(array: Array) -> str:
    """Return the protocol's datatype of an array; raises TypeError if it has none."""
    if array.dtype.kind in "OSU":
        return "BYTES"
    for name, dtype in DTYPES.items():
        if array.dtype == np.dtype(dtype):
            return name
    raise TypeError(f"{array.dtype} has no name in the KServe v2 protocol")


def encode(
    tensors: Mapping[str, Array], key: str, parameters: Mapping[str, Any] | None = None
) -> tuple[bytes, int]:
    """Return the body of named arrays and the length of its JSON; `key`: inputs or outputs.

    `parameters` are those of a request.
    """
    described, chunks = [], []
    for name, array in tensors.items():
        datatype = datatype_of(array)
        data = _strings(array) if datatype == "BYTES" else _raw(array, datatype)
        size = {"binary_data_size": len(data)}
        shape = [int(size) for size in array.shape]
        described.append({"name": name, "shape": shape, "datatype": datatype, "parameters": size})
        chunks.append(data)
    document: dict[str, Any] = {key: described}
    if key == "inputs":
        document["parameters"] = {"binary_data_output": True, **(parameters or {})}
    header = json.dumps(document, separators=(",", ":")).encode("utf-8")
    return header + b"".join(chunks), len(header)


def decode(body: bytes, header_length: int, key: str) -> dict[str, Array]:
    """Return the arrays of a body by name; raises ValueError if data and header disagree."""
    document = json.loads(bytes(body[:header_length]).decode("utf-8"))
    position = header_length
    tensors: dict[str, Array] = {}
    for tensor in document[key]:
        size = tensor["parameters"]["binary_data_size"]
        data = body[position : position + size]
        position += size
        if len(data) != size:
            raise ValueError(f"the body ends inside the tensor {tensor['name']}")
        shape = tuple(tensor["shape"])
        if tensor["datatype"] == "BYTES":
            tensors[tensor["name"]] = _elements(data).reshape(shape)
        else:
            dtype = DTYPES[tensor["datatype"]]
            # A copy: some models write to their inputs.
            tensors[tensor["name"]] = np.frombuffer(data, dtype=dtype).reshape(shape).copy()
    return tensors


def parameters_of(body: bytes, header_length: int) -> dict[str, Any]:
    """Return the parameters of a request, without those of the protocol itself."""
    document = json.loads(bytes(body[:header_length]).decode("utf-8"))
    given: dict[str, Any] = dict(document.get("parameters") or {})
    given.pop("binary_data_output", None)
    return given


def _raw(array: Array, datatype: str) -> bytes:
    return np.ascontiguousarray(array).astype(DTYPES[datatype], copy=False).tobytes()


def _strings(array: Array) -> bytes:
    encoded = []
    for element in array.ravel():
        given = isinstance(element, (bytes, bytearray))
        data = bytes(element) if given else str(element).encode("utf-8")
        encoded.append(struct.pack("<I", len(data)) + data)
    return b"".join(encoded)


def _elements(data: bytes) -> Array:
    elements, position = [], 0
    while position < len(data):
        (size,) = struct.unpack_from("<I", data, position)
        elements.append(bytes(data[position + 4 : position + 4 + size]))
        position += 4 + size
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent has ended, however it ended."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL), 0, 0, 0)
