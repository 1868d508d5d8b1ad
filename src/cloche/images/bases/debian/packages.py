"""The pins of the packages: what is fetched, and the digests that it has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloche.errors import ClocheError

GLIBC = "2.36"
"""The glibc of Debian 12, which wheels have to fit."""
PYTHON = "3.11"
"""The Python of Debian 12."""
_PINS = Path(__file__).with_name("packages.txt")


@dataclass(frozen=True, slots=True)
class Package:
    """One package in its pinned version."""

    name: str
    version: str
    size: int
    """Bytes of the file."""
    digest: str
    """`sha256:<hex>` of the file."""
    path: str
    """Where it lies on a mirror: `debian/pool/main/b/bash/bash_5.2.15-2+b13_amd64.deb`."""


def pinned(architecture: str) -> tuple[Package, ...]:
    """Return the packages for an architecture; raises ClocheError `image.debian.platform`."""
    found = tuple(
        Package(name, version, int(size), f"sha256:{sha256}", path)
        for own, name, version, size, sha256, path in _rows(6)
        if own == architecture
    )
    if not found:
        raise ClocheError(
            "image.debian.platform",
            f"Cloche's own base is not made for {architecture}.",
            where="--platform",
            hint=f"Name one of {', '.join(f'linux/{each}' for each in _architectures())}.",
        )
    return found


def snapshot() -> str:
    """Return the time of the pins, by which snapshot.debian.org finds them: `20261126T091442Z`."""
    ((_, time),) = _rows(2)
    return time


def _architectures() -> list[str]:
    return sorted({row[0] for row in _rows(6)})


@cache
def _lines() -> tuple[tuple[str, ...], ...]:
    text = _PINS.read_text(encoding="utf-8")
    return tuple(tuple(line.split()) for line in text.splitlines() if not line.startswith("#"))


def _rows(words: int) -> list[tuple[str, ...]]:
    return [line for line in _lines() if len(line) == words]
