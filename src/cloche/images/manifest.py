"""The manifests of an image, of several and of what is attached, as canonical JSON.

Sorted keys, no spaces: the same parts have the same digest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cloche.artifacts import encode
from cloche.images.image import EMPTY, INDEX, MANIFEST, Artifact, Descriptor, Image, SmallBlob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloche.images.image import Attachment, Blob, Platform


def compose(
    config: Blob, layers: tuple[Blob, ...], annotations: Mapping[str, str], platform: Platform
) -> Image:
    """Return the image of a configuration and its layers."""
    blob = of_blobs(config, layers, annotations)
    return Image(blob.data, blob.descriptor, config, layers, platform)


def of_blobs(
    config: Blob, layers: tuple[Blob, ...], annotations: Mapping[str, str] | None = None
) -> SmallBlob:
    """Return the manifest of a configuration and its layers."""
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config.descriptor),
        "layers": [described(layer.descriptor) for layer in layers],
    }
    if annotations is not None:
        manifest["annotations"] = dict(annotations)
    return SmallBlob(encode(manifest), MANIFEST)


def index(images: Iterable[Image]) -> SmallBlob:
    """Return the index of the images of several platforms, in the order of these."""
    entries = [
        {**described(image.descriptor), "platform": image.platform.fields}
        for image in sorted(images, key=lambda image: str(image.platform))
    ]
    fields = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return SmallBlob(encode(fields), INDEX)


def attached(attachment: Attachment, subject: Descriptor) -> Artifact:
    """Return the artefact that an attachment of an image is."""
    config = SmallBlob(b"{}", EMPTY)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": attachment.artifact_type,
        "config": described(config.descriptor),
        "layers": [described(blob.descriptor) for blob in attachment.blobs],
        "subject": described(subject),
    }
    if attachment.annotations:
        manifest["annotations"] = dict(attachment.annotations)
    blob = SmallBlob(encode(manifest), MANIFEST)
    blobs = (config, *attachment.blobs)
    return Artifact(blob.data, blob.descriptor, attachment.artifact_type, blobs)


def artifact(data: bytes, descriptor: Descriptor, blob: Callable[[Any], Blob]) -> Artifact:
    """Return the artefact of a manifest; `blob` gives the blob of a descriptor in it.

    Raises KeyError, TypeError or ValueError for a manifest of another form.
    """
    fields = json.loads(data)
    config = fields["config"]
    kind = str(fields.get("artifactType") or config["mediaType"])
    return Artifact(data, descriptor, kind, tuple(map(blob, (config, *fields["layers"]))))


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
