"""An image as a stream that `docker load` and `podman load` read, from wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import encode
from cloche.images.image import CONFIG, SmallBlob
from cloche.images.layering import tar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.images.image import Blob
    from cloche.images.sources.reading import ReadImage


def stream(image: ReadImage, name: str) -> Iterator[bytes]:
    """Yield a tar in the form of `docker save`, in which the image has one name alone.

    Raises ClocheError `image.changed` for bytes that are not those of their digest.
    """
    config = SmallBlob(encode(image.config), CONFIG)
    # The same layer may lie in an image twice.
    blobs = {_path(blob): blob for blob in (config, *image.layers)}
    for path, blob in blobs.items():
        yield tar.file_header(path, blob.descriptor.size)
        yield from blob.chunks()
        yield bytes(tar.padding(blob.descriptor.size))
    entry = {
        "Config": _path(config),
        "RepoTags": [name],
        "Layers": [_path(layer) for layer in image.layers],
    }
    data = encode([entry])
    yield tar.file_header("manifest.json", len(data))
    yield data
    yield bytes(tar.padding(len(data))) + tar.END


def _path(blob: Blob) -> str:
    return blob.descriptor.digest.removeprefix("sha256:")
