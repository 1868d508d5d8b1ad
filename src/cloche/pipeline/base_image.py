"""Cloche's own base: made here, written or pushed, or taken for the image of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import composition
from cloche.pipeline.image import destination_of, read_base

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cloche.clients.oci.reference import ImageReference
    from cloche.images.bases.base import Base
    from cloche.images.image import Destination, Image, Platform
    from cloche.images.names import Name
    from cloche.pipeline.image import Registries
    from cloche.progress import Progress
    from cloche.settings import Settings

NAME = "cpu"
"""What the base is called where a base is named."""
TITLE = "cloche-base"
"""What it is called where images have names."""


def make(
    platform: Platform, environment: Mapping[str, str], *, settings: Settings, progress: Progress
) -> Image:
    """Return the base for a platform; its layers are then in the store.

    Raises ClocheError `image.debian.…`, and those of unpacking and compiling wheels.
    """
    from cloche.images.bases import own_base
    from cloche.images.layering.compiling import Sources

    server = composition.server().base(own_base.PACKAGES, own_base.PYTHON)
    sources = Sources(settings.images_debian_mirror, environment)
    return own_base.make(server, platform, composition.store(settings), sources, progress)


def known(platform: Platform, *, settings: Settings) -> Image | None:
    """Return the base for a platform if it was made before."""
    from cloche.images.bases import own_base

    server = composition.server().base(own_base.PACKAGES, own_base.PYTHON)
    return own_base.known(server, platform, composition.store(settings))


def chosen(
    text: str,
    platform: Platform,
    connections: Registries,
    *,
    settings: Settings,
    progress: Progress,
) -> Base:
    """Return the base of a name for a platform; Cloche's own is made.

    Raises what `make` and `image.read_base` do.
    """
    if text != NAME:
        return read_base(text, platform, connections)
    return as_base(make(platform, connections.environment, settings=settings, progress=progress))


def as_base(image: Image) -> Base:
    """Return the base that was made as one to build on."""
    from cloche.images.bases import base
    from cloche.images.sources import reading

    return base.of(reading.of(image, ""))


def write(image: Image, output: Path, name: Name | None, progress: Progress) -> None:
    """Write the base to an archive (`.tar`) or an OCI layout; raises ClocheError `image.…`."""
    with destination_of(output) as destination:
        _bring(image, destination, name, progress)


def push(
    image: Image, reference: ImageReference, connections: Registries, progress: Progress
) -> None:
    """Push the base; raises ClocheError `registry.…`."""
    from cloche.images.destinations.pushing import RepositoryWriter

    destination = RepositoryWriter(connections.at(reference.host), reference, {})
    _bring(image, destination, None, progress)


def _bring(image: Image, destination: Destination, name: Name | None, progress: Progress) -> None:
    from cloche.images import names
    from cloche.images.destinations.transfer import Transfer

    total = sum(layer.descriptor.size for layer in image.layers)
    with progress.task("Writing the base", total) as task:
        Transfer(destination, task).bring((*image.layers, image.config))
        destination.finish(image.root, name or names.of_service(TITLE), image.platform)
