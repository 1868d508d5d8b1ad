"""Reads an image from an OCI layout, or from an archive in the form of OCI or of `docker save`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cloche.clients.oci.referrers import subject_of
from cloche.errors import ClocheError
from cloche.images import manifest as manifests
from cloche.images import places, platforms
from cloche.images.digesting import digest_of_stream
from cloche.images.image import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, Platform
from cloche.images.places import StoredBlob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cloche.images.image import Artifact, Blob, Image
    from cloche.images.places import Place, Range

REFERENCE = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
"""The annotation in which Docker and containerd keep a whole reference."""
INDEXES = frozenset({INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"})
_MANIFESTS = frozenset({MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"})
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
    """An image of an index: the JSON of its descriptor, and its name."""

    descriptor: dict[str, Any]
    name: str | None


def read(path: Path, wanted: Platform | None = None, *, name: str | None = None) -> ReadImage:
    """Return the image for a platform and of a name; without them, the only image that there is.

    Raises ClocheError `image.missing`, `.unknown`, `.broken`, `.platform`, `.several`.
    """
    place = places.opened(path)
    if (index := place.find("index.json")) is not None:
        return _from_index(place, _json(place, index), wanted, name)
    if (manifest := place.find("manifest.json")) is not None:
        return _from_docker(place, _json(place, manifest), wanted)
    raise places.unknown(path, "it has neither index.json nor manifest.json")


def of(image: Image, name: str) -> ReadImage:
    """Return an image that was made here as it would be read."""
    annotations = json.loads(image.manifest).get("annotations") or {}
    config = json.loads(b"".join(image.config.chunks()))
    digest = image.descriptor.digest
    return ReadImage(config, image.layers, image.platform, digest, name, annotations)


def attached(path: Path, digest: str, artifact_type: str | None = None) -> tuple[Artifact, ...]:
    """Return the artefacts whose subject is the manifest of a digest, of one type or of all.

    Raises ClocheError `image.…` as `read`.
    """
    place = places.opened(path)
    found = place.find("index.json")
    if found is None:
        return ()
    try:
        entries = _entries(place, _json(place, found), None, 0)
        several = [_artifact(place, entry.descriptor, digest) for entry in entries]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifests lack {error}") from error
    return tuple(
        each for each in several if each and artifact_type in {None, each.artifact_type}
    )  # fmt: skip


# ── OCI ───────────────────────────────────────────────────────────────────────────────────────


def _from_index(place: Place, index: Any, wanted: Platform | None, name: str | None) -> ReadImage:
    try:
        entries = [entry for entry in _entries(place, index, None, 0) if name in {None, entry.name}]
        found = [_image(place, entry) for entry in entries]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifests lack {error}") from error
    images = [image for image in found if image is not None]
    if not images:
        raise places.unknown(place.path, "it holds artefacts alone")
    return _chosen(place.path, images, wanted)


def _entries(place: Place, index: Any, name: str | None, depth: int) -> Iterator[_Entry]:
    """Yield the manifests of an index, and of those in it."""
    for descriptor in index["manifests"]:
        said = descriptor.get("annotations") or {}
        own = said.get(FULL_NAME) or said.get(REFERENCE) or name
        if descriptor["mediaType"] in INDEXES and depth < _DEEPEST:
            below = _json(place, _blob(place, descriptor).range)
            yield from _entries(place, below, own, depth + 1)
        elif descriptor["mediaType"] in _MANIFESTS:
            yield _Entry(descriptor, own)


def _artifact(place: Place, descriptor: dict[str, Any], subject: str) -> Artifact | None:
    """Return what is attached to a manifest; None for anything else."""
    own = _blob(place, descriptor)
    data = b"".join(own.chunks())
    if subject_of(data) != subject:
        return None
    return manifests.artifact(data, own.descriptor, partial(_blob, place))


def _image(place: Place, entry: _Entry) -> ReadImage | None:
    """Return an image; None for an artefact, such as an attestation."""
    manifest = _document(place, _blob(place, entry.descriptor))
    if manifest["config"]["mediaType"] not in CONFIGS:
        return None
    config = _document(place, _blob(place, manifest["config"]))
    if config.get("architecture") in {None, "", "unknown"}:
        return None
    layers = tuple(_layer(place, descriptor) for descriptor in manifest["layers"])
    return ReadImage(
        config=_checked(place, config, layers),
        layers=layers,
        platform=platform_of(config),
        digest=entry.descriptor["digest"],
        name=entry.name,
        annotations=manifest.get("annotations") or {},
    )


def _layer(place: Place, descriptor: dict[str, Any]) -> StoredBlob:
    return _blob(place, {**descriptor, "mediaType": layer_type(descriptor["mediaType"])})


def layer_type(media_type: str) -> str:
    """Return OCI's name of the media type of a layer."""
    return _LAYERS.get(media_type, media_type)


def _blob(place: Place, fields: dict[str, Any]) -> StoredBlob:
    digest, size = str(fields["digest"]), int(fields["size"])
    if not _DIGEST.fullmatch(digest):
        raise places.broken(place.path, f"{digest!r} is no digest of SHA-256")
    found = place.find(f"blobs/{digest.replace(':', '/', 1)}")
    if found is None:
        raise places.broken(place.path, f"{digest} is missing")
    if found.size != size:
        raise places.broken(place.path, f"{digest} has {found.size} bytes instead of {size}")
    return StoredBlob(Descriptor(fields["mediaType"], digest, size), found)


# ── docker save ───────────────────────────────────────────────────────────────────────────────


def _from_docker(place: Place, manifest: Any, wanted: Platform | None) -> ReadImage:
    try:
        images = [_docker_image(place, entry) for entry in manifest]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(place.path, f"its manifest.json lacks {error}") from error
    return _chosen(place.path, images, wanted)


def _docker_image(place: Place, entry: dict[str, Any]) -> ReadImage:
    config = _json(place, _found(place, entry["Config"]))
    ranges = [_found(place, name) for name in entry["Layers"]]
    diff_ids = config["rootfs"]["diff_ids"]
    if len(ranges) != len(diff_ids):
        raise places.broken(place.path, "layers and diff_ids differ in number")
    layers = tuple(map(_docker_layer, ranges, diff_ids))
    return ReadImage(
        config=_checked(place, config, layers),
        layers=layers,
        platform=platform_of(config),
        digest=None,
        name=next(iter(entry.get("RepoTags") or []), None),
        annotations={},
    )


def _docker_layer(found: Range, diff_id: str) -> StoredBlob:
    """Return a layer with its digest: that of a tar stream is its diff_id."""
    compressed = next(found.chunks(), b"")[:2] == b"\x1f\x8b"
    if not compressed:
        return StoredBlob(Descriptor(LAYER, diff_id, found.size), found)
    digest = digest_of_stream(found.chunks())
    return StoredBlob(Descriptor(f"{LAYER}+gzip", digest, found.size), found)


def _found(place: Place, name: str) -> Range:
    found = place.find(name)
    if found is None:
        raise places.broken(place.path, f"{name} is missing")
    return found


# ── both ──────────────────────────────────────────────────────────────────────────────────────


def _chosen(path: Path, images: list[ReadImage], wanted: Platform | None) -> ReadImage:
    fitting = [image for image in images if wanted in {None, image.platform}]
    there = ", ".join(sorted({str(image.platform) for image in images}))
    if not fitting:
        raise other_platform(str(path), wanted, there)
    # The same image may have several names.
    if len(fitting) > 1 and (not fitting[0].digest or len({each.digest for each in fitting}) > 1):
        names = ", ".join(image.name or image.digest or "one without a name" for image in fitting)
        raise ClocheError(
            "image.several",
            f"It holds several images: {names}.",
            where=str(path),
            hint=f"Name a platform of {there}, or keep one image in it.",
        )
    return fitting[0]


def other_platform(where: str, wanted: Platform | None, there: str) -> ClocheError:
    """Return the error for an image that is there for other platforms alone."""
    return ClocheError(
        "image.platform",
        f"There is no image for {wanted}, only for {there}.",
        where=where,
        hint="Name an image that has it; `cloche image build --platform` makes one, on a base that"
        " has it.",
    )


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
    return _parsed(place, b"".join(blob.chunks()))


def _json(place: Place, found: Range) -> Any:
    return _parsed(place, found.read())


def _parsed(place: Place, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise places.broken(place.path, "a document in it is no JSON") from error
