"""Reads an image from an OCI layout, or from an archive in the form of OCI or of `docker save`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cloche.clients.oci.referrers import subject_of
from cloche.images import manifest as manifests
from cloche.images import platforms
from cloche.images.image import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, Platform
from cloche.images.sources import choosing, places, saved
from cloche.images.sources.choosing import Candidate
from cloche.images.sources.places import StoredBlob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cloche.images.image import Artifact, Blob, Image
    from cloche.images.sources.places import Place
    from cloche.images.sources.saved import SavedImage

REFERENCE = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
"""The annotation in which Docker and containerd keep a whole reference."""
INDEXES = frozenset({INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"})
MANIFESTS = frozenset({MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"})
CONFIGS = frozenset({CONFIG, "application/vnd.docker.container.image.v1+json"})
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{LAYER}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{LAYER}+zstd",
}
"""OCI's names of the same bytes."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class ReadImage:
    """One image for one platform, as it was found."""

    config: Mapping[str, Any]
    layers: tuple[Blob, ...]
    platform: Platform
    digest: str | None
    """That of its manifest; None in an archive of an older `docker save`, which has none."""
    name: str | None
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image of an index: the JSON of its descriptor, and its names, the full one first."""

    descriptor: dict[str, Any]
    names: tuple[str, ...]


def read(path: Path, wanted: Platform | None = None, *, name: str | None = None) -> ReadImage:
    """Return the image for a platform and of a name; without them, the only image that there is.

    Of several platforms it is this machine's where none is wanted.

    Raises ClocheError `image.missing`, `.unknown`, `.broken`, `.platform`, `.several`.
    """
    place = places.opened(path)
    if (index := place.find("index.json")) is not None:
        return _from_index(place, places.document(place, index), wanted, name)
    return _from_docker(place, wanted, name)


def of(image: Image, name: str) -> ReadImage:
    """Return an image that was made here as it would be read."""
    annotations = json.loads(image.manifest).get("annotations") or {}
    config = json.loads(b"".join(image.config.chunks()))
    digest = image.descriptor.digest
    return ReadImage(config, image.layers, image.platform, digest, name, annotations)


def of_digest(path: Path, digest: str) -> ReadImage:
    """Return the image in an OCI layout or an archive whose manifest has a digest.

    Raises ClocheError `image.…` as `read`.
    """
    place = places.opened(path)
    found = place.find("index.json")
    try:
        entries = _entries(place, places.document(place, found), (), 0) if found else iter(())
        images = (_image(place, each) for each in entries if each.descriptor["digest"] == digest)
        image = next(images, None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifests lack {error}") from error
    if image is None:
        raise places.unknown(place.path, f"it has no image of {digest}")
    return image


def attached(path: Path, digest: str, artifact_type: str | None = None) -> tuple[Artifact, ...]:
    """Return the artefacts whose subject is the manifest of a digest, of one type or of all.

    Raises ClocheError `image.…` as `read`.
    """
    place = places.opened(path)
    found = place.find("index.json")
    if found is None:
        return ()
    try:
        entries = _entries(place, places.document(place, found), (), 0)
        several = [_artifact(place, entry.descriptor, digest) for entry in entries]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifests lack {error}") from error
    return tuple(
        each for each in several if each and artifact_type in {None, each.artifact_type}
    )  # fmt: skip


# ── OCI ───────────────────────────────────────────────────────────────────────────────────────


def _from_index(place: Place, index: Any, wanted: Platform | None, name: str | None) -> ReadImage:
    try:
        entries = list(_entries(place, index, (), 0))
        found = [_image(place, entry) for entry in entries if name in {None, *entry.names}]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifests lack {error}") from error
    images = [image for image in found if image is not None]
    if not images and name is not None:
        raise places.unnamed(place.path, name, (each for entry in entries for each in entry.names))
    if not images:
        raise places.unknown(place.path, "it holds artefacts alone")
    return _chosen(place.path, images, wanted)


def _entries(place: Place, index: Any, names: tuple[str, ...], depth: int) -> Iterator[_Entry]:
    """Yield the manifests of an index, and of those in it."""
    for descriptor in index["manifests"]:
        own = names_of(descriptor) or names
        if descriptor["mediaType"] in INDEXES and depth < _DEEPEST:
            below = places.document(place, blob_of(place, descriptor).range)
            yield from _entries(place, below, own, depth + 1)
        elif descriptor["mediaType"] in MANIFESTS:
            yield _Entry(descriptor, own)


def names_of(descriptor: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of an image in the index of a layout, the full one first."""
    said = descriptor.get("annotations") or {}
    return tuple(said[key] for key in (FULL_NAME, REFERENCE) if said.get(key))


def _artifact(place: Place, descriptor: dict[str, Any], subject: str) -> Artifact | None:
    """Return what is attached to a manifest; None for anything else."""
    own = blob_of(place, descriptor)
    data = b"".join(own.chunks())
    if subject_of(data) != subject:
        return None
    return manifests.artifact(data, own.descriptor, partial(blob_of, place))


def _image(place: Place, entry: _Entry) -> ReadImage | None:
    """Return an image; None for an artefact, such as an attestation."""
    manifest = _document(place, blob_of(place, entry.descriptor))
    if not is_image(manifest):
        return None
    config = _document(place, blob_of(place, manifest["config"]))
    if not runs_somewhere(config):
        return None
    layers = tuple(_layer(place, descriptor) for descriptor in manifest["layers"])
    return ReadImage(
        config=_checked(place, config, layers),
        layers=layers,
        platform=platform_of(config),
        digest=entry.descriptor["digest"],
        name=next(iter(entry.names), None),
        annotations=manifest.get("annotations") or {},
    )


def is_image(manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest is of an image; an attestation has the configuration of one."""
    layers = manifest.get("layers") or []
    config = (manifest.get("config") or {}).get("mediaType")
    return config in CONFIGS and all(".tar" in layer["mediaType"] for layer in layers)


def runs_somewhere(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration names a platform; that of an attestation does not."""
    return config.get("architecture") not in {None, "", "unknown"}


def _layer(place: Place, descriptor: dict[str, Any]) -> StoredBlob:
    return blob_of(place, {**descriptor, "mediaType": layer_type(descriptor["mediaType"])})


def layer_type(media_type: str) -> str:
    """Return OCI's name of the media type of a layer."""
    return _LAYERS.get(media_type, media_type)


def blob_of(place: Place, fields: Mapping[str, Any]) -> StoredBlob:
    """Return the blob of a descriptor; raises `image.broken` if it is not there as it says."""
    digest, size = str(fields["digest"]), int(fields["size"])
    if not _DIGEST.fullmatch(digest):
        raise places.broken(place.path, f"{digest!r} is no digest of SHA-256")
    found = place.find(f"blobs/{digest.replace(':', '/', 1)}")
    if found is None:
        raise places.broken(place.path, f"{digest} is missing")
    if found.size != size:
        raise places.broken(place.path, f"{digest} has {found.size} bytes instead of {size}")
    return StoredBlob(Descriptor(fields["mediaType"], digest, size), found)


def _from_docker(place: Place, wanted: Platform | None, name: str | None) -> ReadImage:
    found = [_saved_image(place, each) for each in saved.images(place, name)]
    return _chosen(place.path, found, wanted)


def _saved_image(place: Place, image: SavedImage) -> ReadImage:
    config = places.parsed(place, image.config.data)
    return ReadImage(
        config=_checked(place, config, image.layers),
        layers=image.layers,
        platform=platform_of(config),
        digest=None,
        name=next(iter(image.names), None),
        annotations={},
    )


# ── both ──────────────────────────────────────────────────────────────────────────────────────


def _chosen(path: Path, images: list[ReadImage], wanted: Platform | None) -> ReadImage:
    found = [
        Candidate(image, image.platform, image.digest,
                  image.name or image.digest or "one without a name")
        for image in images
    ]  # fmt: skip
    return choosing.choose(found, wanted, str(path))


def platform_of(fields: Mapping[str, Any]) -> Platform:
    """Return the platform that a configuration or the entry of an index names."""
    return platforms.of(fields["os"], fields["architecture"], fields.get("variant") or "")


def _checked(
    place: Place, config: Mapping[str, Any], layers: tuple[StoredBlob, ...]
) -> Mapping[str, Any]:
    """Return a configuration that fits its layers."""
    if len(config["rootfs"]["diff_ids"]) != len(layers):
        raise places.broken(place.path, "layers and diff_ids differ in number")
    return config


def _document(place: Place, blob: StoredBlob) -> Any:
    """Return the JSON of a blob, whose digest is checked."""
    return places.parsed(place, b"".join(blob.chunks()))
