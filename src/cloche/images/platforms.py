"""Platforms as people write them."""

from __future__ import annotations

import platform

from cloche.errors import UsageError
from cloche.images.image import Platform

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "x86-64": "amd64"}
_ONLY_VARIANT = {"arm64": "v8", "amd64": "v1"}
"""The variant that an architecture has where none is named."""


def parse(text: str) -> Platform:
    """Return the platform of `linux/amd64`; raises UsageError `image.platform`."""
    parts = text.strip().lower().split("/")
    if len(parts) not in {2, 3} or not all(parts) or parts[0] != "linux":
        raise UsageError(
            "image.platform.unknown",
            f"{text!r} is not a platform of Linux.",
            where="--platform",
            hint="Write one like linux/amd64 or linux/arm64.",
        )
    return of(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def parse_all(text: str) -> tuple[Platform, ...]:
    """Return the platforms of `linux/amd64,linux/arm64`, each once and in order."""
    return tuple(sorted({parse(each) for each in text.split(",")}, key=str))


def here() -> Platform:
    """Return the platform of this machine; containers run Linux everywhere."""
    return of("linux", platform.machine().lower())


def of(system: str, architecture: str, variant: str = "") -> Platform:
    """Return a platform in the words that images use."""
    architecture = _ARCHITECTURES.get(architecture, architecture)
    return Platform(
        system, architecture, "" if variant == _ONLY_VARIANT.get(architecture) else variant
    )
