"""The header of a file of safetensors: which tensors it has, and where.

The file is 8 bytes (the header's length, little-endian), the header (JSON), and the tensors, which
fill the rest without a gap. https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64,
}  # fmt: skip
"""Bits of an element of each dtype; newer ones are not counted."""


class DamagedFileError(Exception):
    """What is wrong with a file of safetensors, in words."""


def elements(path: Path) -> Counter[str]:
    """Return how many elements of each dtype a file has; raises DamagedFileError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise DamagedFileError(
                f"its header would be {length:,} bytes long, and the file has {size:,}"
            )
        text = file.read(length)
    try:
        tensors = [item for name, item in json.loads(text).items() if name != "__metadata__"]
        if not _fill(sorted(map(_span, tensors)), size - 8 - length):
            raise DamagedFileError(
                "its header says where tensors are, and they do not fill its"
                f" {size - 8 - length:,} bytes"
            )
        return _counted(tensors)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise DamagedFileError("its header is not the JSON of the format") from None


def _span(item: dict[str, Any]) -> tuple[int, int]:
    begin, end = item["data_offsets"]
    if not isinstance(begin, int) or not isinstance(end, int):
        raise TypeError("an offset is no number")
    return begin, end


def _counted(tensors: list[dict[str, Any]]) -> Counter[str]:
    """Count elements; raises ValueError for a tensor whose shape is not that of its bytes."""
    counted: Counter[str] = Counter()
    for item in tensors:
        dtype, shape = str(item["dtype"]), item["shape"]
        if not all(isinstance(axis, int) and axis >= 0 for axis in shape):
            raise ValueError("a shape is no list of sizes")
        count, (begin, end) = math.prod(shape), _span(item)
        if count * _BITS.get(dtype, 0) not in {0, 8 * (end - begin)}:
            raise ValueError("a shape has another number of bytes")
        counted[dtype] += count
    return counted


def _fill(spans: list[tuple[int, int]], size: int) -> bool:
    """Return whether tensors follow each other to the end; `spans` are in order."""
    at = 0
    for begin, end in spans:
        if begin != at or end < begin:
            return False
        at = end
    return at == size
