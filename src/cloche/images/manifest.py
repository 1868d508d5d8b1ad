"""The manifest of an image, and the index of several, as canonical JSON: sorted keys, no spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloche.artifacts import encode
from cloche.images.image import INDEX, MANIFEST, Descriptor, Image, SmallBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.images.image import Blob, Platform


def compose(
    config: Blob, layers: tuple[Blob, ...], annotations: Mapping[str, str], platform: Platform
) -> Image:
    """Return the image of a configuration and its layers."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config.descriptor),
        "layers": [described(layer.descriptor) for layer in layers],
        "annotations": dict(annotations),
    }
    blob = SmallBlob(encode(manifest), MANIFEST)
    return Image(blob.data, blob.descriptor, config, layers, platform)


def index(images: Iterable[Image]) -> SmallBlob:
    """Return the index of the images of several platforms, in the order of these."""
    entries = [
        {**described(image.descriptor), "platform": image.platform.fields}
        for image in sorted(images, key=lambda image: str(image.platform))
    ]
    fields = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return SmallBlob(encode(fields), INDEX)


def described(descriptor: Descriptor) -> dict[str, Any]:
    """Return a descriptor as JSON."""
    fields: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.annotations:
        fields["annotations"] = dict(descriptor.annotations)
    return fields
