"""Copies an image, byte for byte, with all that refers to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.images.destinations.transfer import Transfer

if TYPE_CHECKING:
    from cloche.images.copying.graph import Node
    from cloche.images.destinations.transfer import Amounts
    from cloche.images.image import Destination
    from cloche.images.names import Name
    from cloche.progress import Progress


def images_of(node: Node) -> list[Node]:
    """Return the images of single platforms in what is copied, by platform."""
    found = [each for each in node.walk() if each.platform is not None]
    return sorted(found, key=lambda each: str(each.platform))


def copy(node: Node, name: Name | None, destination: Destination, progress: Progress) -> Amounts:
    """Write an image to a destination, and return what was done with its blobs.

    Blobs come first, then the manifests from below, and last the one with the name. Raises
    ClocheError `image.…` and `registry.…`.
    """
    nodes = node.walk()
    blobs = {blob.descriptor.digest: blob for each in nodes for blob in each.blobs}
    total = sum(blob.descriptor.size for blob in blobs.values())
    with progress.task("Copying the image", total) as task:
        transfer = Transfer(destination, task)
        transfer.bring(blobs.values())
        for each in nodes[:-1]:
            destination.put(each.manifest)
        destination.finish(node.manifest, name, node.platform)
    return transfer.amounts
