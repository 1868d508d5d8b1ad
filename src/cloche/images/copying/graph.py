"""An image as it is copied: manifests, what they name, and what refers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloche.clients.oci.referrers import subject_of
from cloche.images.sources import choosing, places
from cloche.images.sources.choosing import Candidate
from cloche.images.sources.reading import (
    INDEXES,
    MANIFESTS,
    is_image,
    platform_of,
    runs_somewhere,
)
from cloche.images.sources.source import Entry, checking

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloche.errors import ClocheError
    from cloche.images.image import Blob, Platform, SmallBlob
    from cloche.images.names import Name
    from cloche.images.sources.source import Fields, Source

_MOST = 500
"""Manifests of one image at most, with all that refers to it."""
_DEEPEST = 8
_LARGEST_CONFIG = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Node:
    """A manifest, or an index of several."""

    manifest: SmallBlob
    platform: Platform | None = None
    """That of an image; None of an index and of what is no image."""
    blobs: tuple[Blob, ...] = ()
    below: tuple[Node, ...] = ()
    """Those of an index."""
    referrers: tuple[Node, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest of the manifest."""
        return self.manifest.descriptor.digest

    def walk(self) -> list[Node]:
        """Return all nodes, each once, after what it names and what refers to it."""
        found: dict[str, Node] = {}
        self._walk(found)
        return list(found.values())

    def _walk(self, found: dict[str, Node]) -> None:
        if self.digest in found:
            return
        for node in (*self.below, *self.referrers):
            node._walk(found)
        found[self.digest] = self


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is copied of a source."""

    node: Node
    name: Name | None


def read(source: Source, entries: Sequence[Entry], wanted: Platform | None) -> Chosen:
    """Return the only image of the entries, of one platform or of all.

    Of an index, `wanted` chooses one manifest. Raises ClocheError `image.unknown`, `image.several`,
    `image.platform` and `image.broken`, and `registry.…`.
    """
    with checking(source.where):
        reader = _Reader(source)
        images = [entry for entry in entries if reader.names_image(entry)]
        # The same image may have several names: the first counts.
        found = {entry.fields["digest"]: entry for entry in reversed(images)}
        if not found:
            raise places.unknown(source.where, "it holds artefacts alone")
        if wanted is not None:
            return reader.of_platform(list(found.values()), wanted)
        if len(found) > 1:
            raise reader.several(list(found.values()))
        (entry,) = found.values()
        return Chosen(reader.node(entry.fields), entry.name)


@dataclass(slots=True)
class _Reader:
    source: Source
    read: dict[str, SmallBlob] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    def node(self, fields: Fields, depth: int = 0) -> Node:
        """Return a manifest with all that it names and that refers to it."""
        digest = str(fields["digest"])
        if digest not in self.nodes:
            self.nodes[digest] = self._node(fields, depth)
        return self.nodes[digest]

    def _node(self, fields: Fields, depth: int) -> Node:
        manifest, document = self.document(fields)
        if depth > _DEEPEST:
            raise places.broken(self.source.where, "its manifests name each other too deep")
        digest = manifest.descriptor.digest
        referrers = tuple(
            self.node(each, depth + 1)
            for each in self.source.referrers(digest)
            if subject_of(self.document(each)[0].data) == digest
        )
        if fields["mediaType"] in INDEXES:
            below = tuple(self.node(each, depth + 1) for each in document["manifests"])
            return Node(manifest, below=below, referrers=referrers)
        parts = (document.get("config"), *(document.get("layers") or ()))
        blobs = tuple(self.source.blob(each) for each in parts if each and not _is_foreign(each))
        return Node(manifest, self.platform(document), blobs, referrers=referrers)

    def document(self, fields: Fields) -> tuple[SmallBlob, dict[str, Any]]:
        """Return a manifest, and what is in it."""
        digest = str(fields["digest"])
        if digest not in self.read:
            if len(self.read) == _MOST:
                raise places.broken(self.source.where, "it has too many manifests")
            self.read[digest] = self.source.manifest(fields)
        return self.read[digest], json.loads(self.read[digest].data)

    def names_image(self, entry: Entry) -> bool:
        """Return whether an entry is an image, or an index with one."""
        return any(True for _ in self.images(entry.fields, set()))

    def images(self, fields: Fields, seen: set[str]) -> Iterator[Fields]:
        """Yield the images of an entry, those of nested indexes too, each once."""
        kind, digest = fields["mediaType"], str(fields["digest"])
        if kind not in {*INDEXES, *MANIFESTS} or digest in seen:
            return
        seen.add(digest)
        _, document = self.document(fields)
        if kind in INDEXES:
            for each in document["manifests"]:
                yield from self.images(each, seen)
        elif is_image(document):
            yield fields

    def of_platform(self, entries: list[Entry], wanted: Platform) -> Chosen:
        """Return the only image of a platform."""
        found = []
        for entry in entries:
            for fields in self.images(entry.fields, set()):
                said = fields.get("platform")
                own = platform_of(said) if said else self.platform(self.document(fields)[1])
                if own is not None:
                    each, digest = Entry(fields, entry.name), str(fields["digest"])
                    found.append(Candidate(each, own, digest, self._label(each)))
        only = choosing.choose(found, wanted, self.source.where)
        return Chosen(self.node(only.fields), only.name)

    def platform(self, document: dict[str, Any]) -> Platform | None:
        """Return the platform of an image; None of anything else."""
        if not is_image(document):
            return None
        blob = self.source.blob(document["config"])
        if blob.descriptor.size > _LARGEST_CONFIG:
            raise places.broken(self.source.where, "its configuration is too large")
        config = json.loads(b"".join(blob.chunks()))
        return platform_of(config) if runs_somewhere(config) else None

    def several(self, entries: list[Entry]) -> ClocheError:
        """Return the error for several images, of which none is named."""
        return choosing.ambiguous(map(self._label, entries), self.source.where)

    def _label(self, entry: Entry) -> str:
        name = entry.name.short if entry.name else str(entry.fields["digest"])
        platform = self.platform(self.document(entry.fields)[1])
        return f"{name} ({platform})" if platform is not None else name


def _is_foreign(fields: Fields) -> bool:
    """Return whether a layer is by its licence in no registry but its maker's."""
    return any(word in fields["mediaType"] for word in ("foreign", "nondistributable"))
