"""Builds the image of a service: layers on a base, written while they are hashed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cloche.images import config, golden, manifest
from cloche.images.digesting import digest_of_stream
from cloche.images.image import MOST_LAYERS, changed
from cloche.images.layers import StoredLayer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.images.base import Base
    from cloche.images.content import Content
    from cloche.images.image import Artifact, Blob, Descriptor, Destination, Image, Read
    from cloche.images.layers import Layer, MadeLayer
    from cloche.progress import Progress, Task
    from cloche.store import Store


def build(
    content: Content, base: Base, store: Store, destination: Destination, progress: Progress
) -> Image:
    """Write the image of a service to a destination, with what is attached to it, and return it.

    Each layer is read once: it is hashed on its way. What the destination holds is not read again.
    The same content and base give the same digest everywhere. Raises ClocheError `image.…`.
    """
    below = (*base.layers, *content.environments)
    plans = content.layers(MOST_LAYERS - len(below))
    known = [plan.known(store) for plan in plans]
    sizes = (seen.size if seen else plan.size for seen, plan in zip(known, plans, strict=True))
    total = sum(blob.descriptor.size for blob in below) + sum(sizes)
    with store.working(), progress.task("Writing the image", total) as task:
        for blob in below:
            copy(blob, destination, task)
        written = tuple(
            _written(plan, seen, store, destination, task)
            for plan, seen in zip(plans, known, strict=True)
        )
        layers: tuple[StoredLayer | MadeLayer, ...] = (*content.environments, *written)
        said = {**content.annotations, **base.annotations}
        if content.golden:
            said[golden.LAYER] = layers[-1].descriptor.digest
        image = manifest.compose(
            config.compose(base.config, content, layers, said),
            (*base.layers, *layers),
            said,
            base.platform,
        )
        copy(image.config, destination, task)
        bill = (content.bill(image.descriptor.digest),) if content.bill else ()
        for attachment in (*content.attached, *bill):
            _attach(manifest.attached(attachment, image.descriptor), destination, task)
        destination.finish(image, content.service)
    return image


def _written(
    layer: Layer, known: Descriptor | None, store: Store, destination: Destination, task: Task
) -> StoredLayer:
    """Write a layer, unless it is there; return it with its digest."""
    if known is None and destination.addressed:
        task.note(f"hashing {layer.what}")
        known = layer.remember(store, digest_of_stream(layer.chunks(store)))
    if known is not None and destination.holds(known.digest):
        task.advance(known.size)
        return StoredLayer(layer, store, known)
    wanted = known.digest if known is not None else None
    read = _told(partial(layer.chunks, store), task)
    digest = destination.write(read, layer.size, wanted)
    if known is not None and known.digest != digest:
        raise changed(layer.what)
    return StoredLayer(layer, store, layer.remember(store, digest))


def _attach(artifact: Artifact, destination: Destination, task: Task) -> None:
    for blob in artifact.blobs:
        copy(blob, destination, task)
    destination.attach(artifact)


def copy(blob: Blob, destination: Destination, task: Task) -> None:
    """Write a blob whose digest is known, unless it is there."""
    descriptor = blob.descriptor
    if destination.holds(descriptor.digest):
        task.advance(descriptor.size)
        return
    digest = destination.write(_told(blob.chunks, task), descriptor.size, descriptor.digest)
    if digest != descriptor.digest:
        raise changed(descriptor.digest)


def _told(read: Read, task: Task) -> Read:
    """Return a reader that tells the task of what was taken."""

    def told(start: int) -> Iterator[bytes]:
        for chunk in read(start):
            yield chunk
            task.advance(len(chunk))

    return told
