"""Cloche's own base, made once for all tests."""

from __future__ import annotations

import os

import pytest

from cloche import composition
from cloche.errors import ClocheError
from cloche.images.debian import packages
from cloche.images.image import Image, Platform
from cloche.pipeline import base_image
from cloche.progress import SilentProgress
from cloche.settings import Settings

UNREACHABLE = {"image.debian.fetch", "environment.network", "environment.timeout"}


def make(settings: Settings, platform: Platform) -> Image:
    """Make the base for a platform in a home."""
    try:
        return base_image.make(platform, os.environ, settings=settings, progress=SilentProgress())
    except ClocheError as error:
        if error.code not in UNREACHABLE:
            raise
        pytest.skip(f"needs Debian's packages and Triton's wheel: {error.what} {error.hint or ''}")


def bring_packages(kept: Settings, settings: Settings) -> None:
    """Put Debian's packages into another home."""
    stored = composition.store(kept)
    for package in packages.pinned("amd64"):
        composition.store(settings).add_file(stored.blob_path(package.digest))
