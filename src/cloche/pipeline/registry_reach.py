"""Whether a registry can be reached, from here and from the nodes of a cluster."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from cloche.artifacts import KubernetesPlace
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.images.image import Image
    from cloche.pipeline.image import Registries
    from cloche.progress import Progress

_NAME = "cloche-reach"
"""The repository of the image that nodes pull; it stays there, as few registries delete."""


def from_here(place: KubernetesPlace, connections: Registries) -> str:
    """Return the host of a place's registry; raises ClocheError `registry.…` if it cannot be read.

    Whether it may be written shows when an image is pushed.
    """
    asked = references.parse(f"{place.registry}/{_NAME}")
    connections.at(asked.host).has_manifest(asked.name, "latest")
    return asked.host


def require_answer(place: KubernetesPlace, connections: Registries) -> None:
    """Raise UnavailableError `registry.…` for a place's registry that cannot be reached.

    What may be read or written there shows when an image is pushed: many registries refuse to read
    what is not there yet.
    """
    try:
        from_here(place, connections)
    except ClocheError as error:
        if error.retriable:
            raise


def from_cluster(
    place: KubernetesPlace, cluster: Cluster, connections: Registries, progress: Progress
) -> str:
    """Push an image of a few bytes and have a node pull it; return the name of the node.

    Raises ClocheError `registry.…` and `kubernetes.…`.
    """
    from cloche.images import platforms
    from cloche.pipeline import base_image
    from cloche.targets.kubernetes import pulling

    here = platforms.here()
    image, reference = _image(), references.parse(f"{place.registry}/{_NAME}:1")
    base_image.push(image, reference, connections, progress)
    name = f"{reference.host}/{reference.name}@{image.descriptor.digest}"
    return pulling.pull(cluster, place.namespace, name, place.pods, here.architecture)


def _image() -> Image:
    from cloche.images import manifest, platforms
    from cloche.images.config import CREATED
    from cloche.images.image import CONFIG, LAYER, SmallBlob

    stream, here = io.BytesIO(), platforms.here()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    layer = SmallBlob(stream.getvalue(), LAYER)
    config = {
        "architecture": here.architecture,
        "os": here.os,
        "created": CREATED,
        "rootfs": {"type": "layers", "diff_ids": [layer.descriptor.digest]},
        "history": [{"created": CREATED, "created_by": "cloche doctor"}],
    }
    return manifest.compose(SmallBlob(artifacts.encode(config), CONFIG), (layer,), {}, here)
