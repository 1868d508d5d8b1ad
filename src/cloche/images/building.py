"""Builds the image of a service: layers on a base, written while they are hashed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cloche.images import config, golden, manifest, sbom
from cloche.images.destinations.digesting import digest_of_stream
from cloche.images.destinations.transfer import Transfer
from cloche.images.image import MOST_LAYERS, changed
from cloche.images.layering.layers import StoredLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.images.bases.base import Base
    from cloche.images.content import Content
    from cloche.images.image import Attachment, Descriptor, Destination, Image, SmallBlob
    from cloche.images.layering.layers import Layer, MadeLayer
    from cloche.images.names import Name
    from cloche.progress import Progress
    from cloche.store import Store


def build(
    content: Content, base: Base, store: Store, destination: Destination, progress: Progress
) -> Image:
    """Write all of the image of a service but its manifest to a destination, and return it.

    What is attached to it is written whole.

    Each layer is read once: it is hashed on its way. What the destination holds is not read again.
    The same content and base give the same digest everywhere. Raises ClocheError `image.…`.
    """
    below = (*base.layers, *content.environments)
    plans = content.layers(MOST_LAYERS - len(below))
    seen = [plan.known(store) for plan in plans]
    sizes = (each.size if each else plan.size for each, plan in zip(seen, plans, strict=True))
    total = sum(blob.descriptor.size for blob in below) + sum(sizes)
    with store.working(), progress.task("Writing the image", total) as task:
        transfer = Transfer(destination, task)
        transfer.bring(below)
        write = partial(_written, store=store, transfer=transfer)
        written = transfer.each(write, zip(plans, seen, strict=True))
        image = _composed(content, base, written)
        transfer.bring([image.config])
        bill = (_bill(content.bill, image, store),) if content.bill else ()
        for attachment in (*content.attached, *bill):
            if destination.has_alike(attachment, image.descriptor.digest):
                continue
            artifact = manifest.attached(attachment, image.descriptor)
            transfer.bring(artifact.blobs)
            destination.put(artifact.root)
    return image


def known(content: Content, base: Base, store: Store) -> Image | None:
    """Return the image that `build` will make; None if the digest of a layer is not known yet."""
    below = (*base.layers, *content.environments)
    plans = content.layers(MOST_LAYERS - len(below))
    descriptors = [plan.known(store) for plan in plans]
    layers = [
        StoredLayer(plan, store, descriptor)
        for plan, descriptor in zip(plans, descriptors, strict=True)
        if descriptor is not None
    ]
    return _composed(content, base, layers) if len(layers) == len(plans) else None


def _composed(content: Content, base: Base, own: Sequence[StoredLayer]) -> Image:
    """Return the image of a base, environments, and the layers of a service."""
    layers: tuple[StoredLayer | MadeLayer, ...] = (*content.environments, *own)
    said = {**content.annotations, **base.annotations}
    if content.golden:
        said[golden.LAYER] = layers[-1].descriptor.digest
    return manifest.compose(
        config.compose(base.config, content, layers, said),
        (*base.layers, *layers),
        said,
        base.platform,
    )


def finish(images: Sequence[Image], destination: Destination, name: Name) -> SmallBlob:
    """Name what was built: one image, or the index of one for each platform; return its manifest.

    The digest of an index does not depend on the order of its images.
    """
    root = root_of(images)
    if len(images) == 1:
        destination.finish(root, name, images[0].platform)
        return root
    for image in images:
        destination.put(image.root)
    destination.finish(root, name, None)
    return root


def root_of(images: Sequence[Image]) -> SmallBlob:
    """Return the manifest of one image, or the index of several."""
    return images[0].root if len(images) == 1 else manifest.index(images)


def _bill(make: Callable[[str], Attachment], image: Image, store: Store) -> Attachment:
    """Return the bill of an image; one that was made before is not made again."""
    key = image.descriptor.digest.removeprefix("sha256:")
    made = store.recall(sbom.KIND, key)
    if made is not None:
        return sbom.attached(made)
    attachment = make(image.descriptor.digest)
    store.remember(sbom.KIND, key, b"".join(attachment.blobs[0].chunks()))
    return attachment


def _written(
    planned: tuple[Layer, Descriptor | None], *, store: Store, transfer: Transfer
) -> StoredLayer:
    """Write a layer, unless it is there; return it with its digest.

    Where that has to be known before, one layer is hashed while others are sent; else it is hashed
    on its way.
    """
    layer, known = planned
    destination = transfer.destination
    if known is None and destination.addressed(layer.size):
        known = layer.remember(store, digest_of_stream(layer.chunks(store)))
    if known is not None and destination.holds(known.digest):
        transfer.passed(known.size)
        return StoredLayer(layer, store, known)
    wanted = known.digest if known is not None else None
    read = transfer.told(partial(layer.chunks, store))
    digest = destination.write(read, layer.size, wanted)
    if known is not None and known.digest != digest:
        raise changed(layer.what)
    return StoredLayer(layer, store, layer.remember(store, digest))
