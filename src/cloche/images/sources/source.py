"""Where an image is copied from, whoever made it: its manifests and blobs as they are.

What a manifest says of another one or of a blob, its descriptor, is passed on as the JSON that it
is, so that nothing of it is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cloche.clients.oci.referrers import fallback_tag, subject_of
from cloche.images import manifest as manifests
from cloche.images import names
from cloche.images.image import MANIFEST, SmallBlob
from cloche.images.sources import places, saved
from cloche.images.sources.reading import (
    FULL_NAME,
    INDEXES,
    MANIFESTS,
    REFERENCE,
    blob_of,
    names_of,
)
from cloche.images.sources.remote import RemoteBlob, descriptor_of

if TYPE_CHECKING:
    from cloche.clients.oci.reference import ImageReference
    from cloche.clients.oci.registry import Registry
    from cloche.images.addresses import LocalAddress
    from cloche.images.image import Blob
    from cloche.images.names import Name
    from cloche.images.sources.places import Place

Fields = Mapping[str, Any]
"""A descriptor as JSON."""
_LARGEST = 16 * 2**20
"""Bytes of a manifest at most."""
_FALLBACK = re.compile(r"sha256-[0-9a-f]{64}")


class Source(Protocol):
    """A repository, a layout or an archive."""

    @property
    def where(self) -> str:
        """Return its name, for errors."""

    def manifest(self, fields: Fields) -> SmallBlob:
        """Return a manifest or an index, checked against its digest."""

    def blob(self, fields: Fields) -> Blob:
        """Return a blob."""

    def referrers(self, digest: str) -> Sequence[Fields]:
        """Return the manifests whose subject is that of a digest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image, or an index of several, that a source names."""

    fields: Fields
    name: Name | None


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A repository of a registry."""

    registry: Registry
    name: str

    @property
    def where(self) -> str:
        """Return host and name."""
        return f"{self.registry.host}/{self.name}"

    def entry(self, reference: ImageReference) -> Entry:
        """Return what a reference names."""
        found = self.registry.manifest(self.name, reference.reference)
        fields = {
            "mediaType": found.media_type, "digest": found.digest, "size": len(found.data),
        }  # fmt: skip
        return Entry(fields, names.of_reference(reference))

    def manifest(self, fields: Fields) -> SmallBlob:
        """Return a manifest or an index."""
        found = self.registry.manifest(self.name, str(fields["digest"]))
        return SmallBlob(found.data, str(fields["mediaType"]))

    def blob(self, fields: Fields) -> Blob:
        """Return a blob."""
        return RemoteBlob(descriptor_of(fields), self.registry, self.name)

    def referrers(self, digest: str) -> Sequence[Fields]:
        """Return what refers to a manifest."""
        return [
            {"mediaType": each.media_type, "digest": each.digest, "size": each.size}
            for each in self.registry.referrers(self.name, digest)
        ]


@dataclass(frozen=True, slots=True)
class StoredSource:
    """An OCI layout, in a folder or an archive."""

    place: Place
    index: Fields
    subjects: Mapping[str, str] = field(default_factory=dict)
    """Of manifests in the index, by their digests."""

    @property
    def where(self) -> str:
        """Return the path."""
        return str(self.place.path)

    def entries(self) -> list[Entry]:
        """Return what the index names, without what refers to something else."""
        return [
            Entry(each, _name(each))
            for each in self.index["manifests"]
            if each["digest"] not in self.subjects and not _is_fallback(each)
        ]

    def manifest(self, fields: Fields) -> SmallBlob:
        """Return a manifest or an index."""
        return SmallBlob(_manifest(self.place, fields), str(fields["mediaType"]))

    def blob(self, fields: Fields) -> Blob:
        """Return a blob."""
        return blob_of(self.place, fields)

    def referrers(self, digest: str) -> Sequence[Fields]:
        """Return what refers to a manifest: in the index, or in another under the tag for that."""
        found = [
            each for each in self.index["manifests"] if self.subjects.get(each["digest"]) == digest
        ]
        for each in self.index["manifests"]:
            if (each.get("annotations") or {}).get(REFERENCE) == fallback_tag(digest):
                found += places.parsed(self.place, self.manifest(each).data)["manifests"]
        return found


@dataclass(frozen=True, slots=True)
class SavedSource:
    """An archive without manifests: they are made of the configurations and layers in it."""

    where: str
    blobs: Mapping[str, Blob]

    def manifest(self, fields: Fields) -> SmallBlob:
        """Return a manifest."""
        return SmallBlob(b"".join(self.blobs[fields["digest"]].chunks()), MANIFEST)

    def blob(self, fields: Fields) -> Blob:
        """Return a blob."""
        return self.blobs[fields["digest"]]

    def referrers(self, digest: str) -> Sequence[Fields]:  # noqa: ARG002
        """Return nothing: an archive without manifests has none that refers to one."""
        return ()


@contextmanager
def checking(where: str) -> Iterator[None]:
    """Translate what is raised where a document has another form."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise places.broken(where, f"its manifests lack {error}") from error


def stored(address: LocalAddress) -> tuple[Source, list[Entry]]:
    """Return a layout or an archive, and the images in it of the name that an address has.

    Raises ClocheError `image.missing`, `image.unknown`, `image.broken` and `image.name`.
    """
    place = places.opened(address.path)
    found = place.find("index.json")
    if found is None:
        return _saved(place, address.name)
    index = places.document(place, found)
    with checking(str(place.path)):
        source = StoredSource(place, index, _subjects(place, index))
        entries = source.entries()
    chosen = [each for each in entries if address.name in {None, *names_of(each.fields)}]
    if not chosen and address.name is not None:
        known = (each for entry in entries for each in names_of(entry.fields))
        raise places.unnamed(place.path, address.name, known)
    return source, chosen


def _subjects(place: Place, index: Fields) -> dict[str, str]:
    listed = [each for each in index["manifests"] if each["mediaType"] in {*MANIFESTS, *INDEXES}]
    subjects = {str(each["digest"]): subject_of(_manifest(place, each)) for each in listed}
    return {digest: subject for digest, subject in subjects.items() if subject}


def _manifest(place: Place, fields: Fields) -> bytes:
    blob = blob_of(place, fields)
    if blob.descriptor.size > _LARGEST:
        raise places.broken(place.path, "a manifest in it is too large")
    return b"".join(blob.chunks())


def _name(fields: Fields) -> Name | None:
    said = fields.get("annotations") or {}
    return names.found(said.get(REFERENCE), said.get(FULL_NAME))


def _is_fallback(fields: Fields) -> bool:
    return any(_FALLBACK.fullmatch(name) for name in names_of(fields))


def _saved(place: Place, name: str | None) -> tuple[Source, list[Entry]]:
    blobs: dict[str, Blob] = {}
    entries = []
    for image in saved.images(place, name):
        made = manifests.of_blobs(image.config, image.layers)
        parts: tuple[Blob, ...] = (image.config, *image.layers, made)
        blobs |= {blob.descriptor.digest: blob for blob in parts}
        full = name or next(iter(image.names), None)
        entries.append(Entry(manifests.described(made.descriptor), names.found(full, None)))
    return SavedSource(str(place.path), blobs), entries
