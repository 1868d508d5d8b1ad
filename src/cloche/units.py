"""Sizes and durations in the form that people write and read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST = 3
"""How many packages are named by their size."""
_SIZES = {
    "": 1, "B": 1,
    "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_DURATIONS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}


def parse_size(text: str | int) -> int:
    """Return the bytes of `4Gi`, `500MB` or `1024`; raises ValueError with examples."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if match is None or match[2] not in _SIZES:
        raise ValueError(f"{text!r} is not a size; write one like 512Mi, 4Gi or 2GB")
    return int(float(match[1]) * _SIZES[match[2]])


def parse_duration(text: str | float) -> float:
    """Return the seconds of `100us`, `1.5ms`, `60s`, `5m`; raises ValueError with examples."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(text))
    if match is None or match[2] not in _DURATIONS:
        raise ValueError(f"{text!r} is not a duration; write one like 500us, 10ms, 60s or 5m")
    return float(match[1]) * _DURATIONS[match[2]]


def count_text(number: float | str, thing: str) -> str:
    """Return `1 replica`, `2 replicas` or `2..10 replicas`."""
    return f"{number} {thing}" if str(number) == "1" else f"{number} {thing}s"


def processors_text(count: float) -> str:
    """Return processors in thousandths where they are no whole number: `2`, `500m`."""
    thousandths = round(count * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def size_text(size: float) -> str:
    """Return bytes for a reader: `512 bytes`, `93.7 MiB`."""
    if size < 1024:
        return f"{size:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1023.95:  # larger values would round to 1024.0
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def download_text(sizes: Mapping[str, int], count: int) -> str:
    """Return what `count` packages take: `up to 1.2 GiB in 74 packages (torch 876.5 MiB, …)`.

    `sizes` has the bytes at most of those packages whose size is known.
    """
    packages = count_text(count, "package")
    if not sizes:
        return packages
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LARGEST]
    named = ", ".join(f"{name} {size_text(size)}" for name, size in largest)
    unknown = count - len(sizes)
    more = f", {unknown} of unknown size" if unknown else ""
    return f"up to {size_text(sum(sizes.values()))} in {packages}{more} ({named})"


def duration_text(seconds: float) -> str:
    """Return a duration for a reader: `0.8 s`, `2 min 5 s`, `3 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"
