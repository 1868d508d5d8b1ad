"""The digest of an image before it is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cloche import composition
from cloche.pipeline import base_image
from cloche.pipeline.image import container_start, read_base

if TYPE_CHECKING:
    from cloche.artifacts import Deployment
    from cloche.images.bases.base import Base
    from cloche.images.image import Platform
    from cloche.pipeline.image import Registries
    from cloche.settings import Settings


def base_of(
    text: str, platform: Platform, connections: Registries, *, settings: Settings
) -> Base | None:
    """Return the base of a name; None for Cloche's own where it was not made yet.

    Raises what `image.read_base` does.
    """
    if text != base_image.NAME:
        return read_base(text, platform, connections)
    made = base_image.known(platform, settings=settings)
    return base_image.as_base(made) if made is not None else None


def digest_of(deployment: Deployment, base: Base, *, settings: Settings) -> str | None:
    """Return the digest that the image of a deployment has on a base.

    None where a layer of it was never made, so that nobody knows its digest. Raises ClocheError
    `image.…` where it could not be made.
    """
    from cloche.images import building, content
    from cloche.images.layering import environment

    store = composition.store(settings)
    start = container_start(deployment, base, store)
    found = {
        lock.digest: environment.known(lock, base, start, store, os.environ)
        for lock in deployment.installed_locks
    }
    environments = {digest: each for digest, each in found.items() if each is not None}
    if len(environments) < len(found):
        return None
    contents = content.content_of(deployment, base, start, environments, store)
    image = building.known(contents, base, store)
    return image.descriptor.digest if image is not None else None
