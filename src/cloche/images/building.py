"""Builds the image of a service: layers on a base, written while they are hashed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cloche.images import config, golden, manifest, sbom
from cloche.images.digesting import digest_of_stream
from cloche.images.image import MOST_LAYERS, changed
from cloche.images.layers import StoredLayer
from cloche.images.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloche.images.base import Base
    from cloche.images.content import Content
    from cloche.images.image import Attachment, Descriptor, Destination, Image, SmallBlob
    from cloche.images.layers import Layer, MadeLayer
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
    known = [plan.known(store) for plan in plans]
    sizes = (seen.size if seen else plan.size for seen, plan in zip(known, plans, strict=True))
    total = sum(blob.descriptor.size for blob in below) + sum(sizes)
    with store.working(), progress.task("Writing the image", total) as task:
        transfer = Transfer(destination, task)
        transfer.bring(below)
        written = tuple(
            _written(plan, seen, store, transfer) for plan, seen in zip(plans, known, strict=True)
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
        transfer.bring([image.config])
        bill = (_bill(content.bill, image, store),) if content.bill else ()
        for attachment in (*content.attached, *bill):
            artifact = manifest.attached(attachment, image.descriptor)
            transfer.bring(artifact.blobs)
            destination.put(artifact.root)
    return image


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
    layer: Layer, known: Descriptor | None, store: Store, transfer: Transfer
) -> StoredLayer:
    """Write a layer, unless it is there; return it with its digest."""
    destination, task = transfer.destination, transfer.task
    if known is None and destination.addressed:
        task.note(f"hashing {layer.what}")
        known = layer.remember(store, digest_of_stream(layer.chunks(store)))
    if known is not None and destination.holds(known.digest):
        task.advance(known.size)
        return StoredLayer(layer, store, known)
    wanted = known.digest if known is not None else None
    read = transfer.told(partial(layer.chunks, store))
    digest = destination.write(read, layer.size, wanted)
    if known is not None and known.digest != digest:
        raise changed(layer.what)
    return StoredLayer(layer, store, layer.remember(store, digest))
