"""Reads an image from a registry: its manifests and configuration, layers where they are copied."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloche.clients.oci.reference import ImageReference
from cloche.errors import ClocheError
from cloche.images import manifest as manifests
from cloche.images.image import MANIFEST, Descriptor
from cloche.images.sources import choosing
from cloche.images.sources.choosing import Candidate
from cloche.images.sources.reading import (
    INDEXES,
    ReadImage,
    is_image,
    layer_type,
    platform_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cloche.clients.oci.registry import Registry
    from cloche.images.image import Artifact, Platform

_LARGEST_CONFIG = 8 * 2**20


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """A blob in a repository of a registry; a blob of an image."""

    descriptor: Descriptor
    registry: Registry
    name: str

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on; see `image.Blob`."""
        digest, size = self.descriptor.digest, self.descriptor.size
        return self.registry.blob(self.name, digest, start, size=size)


def read(registry: Registry, reference: ImageReference, platform: Platform | None) -> ReadImage:
    """Return the image of a reference for a platform, by default this machine's if it has several.

    Raises ClocheError `registry.…`, `image.platform`, `image.unknown` for an artefact that is no
    image, and `image.broken`.
    """
    try:
        return _read(registry, reference, platform)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unknown(reference, "image.broken", f"its manifests lack {error}") from error


def attached(
    registry: Registry,
    name: str,
    digest: str,
    artifact_type: str | None = None,
    *,
    most: int | None = None,
) -> tuple[Artifact, ...]:
    """Return the artefacts whose subject is the manifest of a digest, of one type or of all.

    `most` is how many are read; without it all.

    Raises ClocheError `registry.…`, and `image.broken`.
    """
    return tuple(
        _artifact(registry, name, found.digest)
        for found in registry.referrers(name, digest, artifact_type)[:most]
        if found.media_type == MANIFEST
    )


def _artifact(registry: Registry, name: str, digest: str) -> Artifact:
    found = registry.manifest(name, digest)
    own = Descriptor(MANIFEST, digest, len(found.data))

    def blob(fields: dict[str, Any]) -> RemoteBlob:
        return RemoteBlob(descriptor_of(fields), registry, name)

    try:
        return manifests.artifact(found.data, own, blob)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        where = ImageReference(registry.host, name, digest=digest)
        raise _unknown(where, "image.broken", f"its manifest lacks {error}") from error


def _read(registry: Registry, reference: ImageReference, platform: Platform | None) -> ReadImage:
    found = registry.manifest(reference.name, reference.reference)
    if found.media_type in INDEXES:
        digest = _chosen(json.loads(found.data), reference, platform)
        found = registry.manifest(reference.name, digest)
    manifest = json.loads(found.data)
    if not is_image(manifest):
        raise _unknown(reference, "image.unknown", "it is an artefact of another kind")
    config = _config(registry, reference, manifest["config"])
    layers = tuple(_layer(registry, reference, each) for each in manifest["layers"])
    own = platform_of(config)
    choosing.choose([Candidate(found, own, found.digest, found.digest)], platform, str(reference))
    if len(config["rootfs"]["diff_ids"]) != len(layers):
        raise _unknown(reference, "image.broken", "layers and diff_ids differ in number")
    return ReadImage(
        config, layers, own, found.digest, str(reference), manifest.get("annotations") or {}
    )


def _chosen(index: dict[str, Any], reference: ImageReference, platform: Platform | None) -> str:
    """Return the digest of the image for a platform; of two for the same the first counts."""
    there: dict[Platform, str] = {}
    for entry in index["manifests"]:
        said = entry.get("platform") or {}
        if said.get("architecture") not in {None, "unknown"}:
            there.setdefault(platform_of(said), str(entry["digest"]))
    found = [Candidate(digest, own, digest, digest) for own, digest in there.items()]
    return choosing.choose(found, platform, str(reference))


def _config(
    registry: Registry, reference: ImageReference, fields: dict[str, Any]
) -> dict[str, Any]:
    if int(fields["size"]) > _LARGEST_CONFIG:
        raise _unknown(reference, "image.broken", "its configuration is too large")
    blob = RemoteBlob(descriptor_of(fields), registry, reference.name)
    config: dict[str, Any] = json.loads(b"".join(blob.chunks()))
    return config


def _layer(registry: Registry, reference: ImageReference, fields: dict[str, Any]) -> RemoteBlob:
    typed = {**fields, "mediaType": layer_type(fields["mediaType"])}
    return RemoteBlob(descriptor_of(typed), registry, reference.name)


def descriptor_of(fields: Mapping[str, Any]) -> Descriptor:
    """Return a descriptor of its JSON; raises KeyError or ValueError."""
    return Descriptor(str(fields["mediaType"]), str(fields["digest"]), int(fields["size"]))


def _unknown(reference: ImageReference, code: str, why: str) -> ClocheError:
    return ClocheError(
        code,
        f"This is not an image that can be read: {why}.",
        where=str(reference),
        hint="Name an image, such as nvcr.io/nvidia/tritonserver:26.07-py3.",
    )
