"""An OCI image as values: descriptors, blobs, manifest (OCI image specification 1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cloche.artifacts import digest_of
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from cloche.images.names import Name

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
"""The configuration of an artefact, which has none."""

MOST_LAYERS = 100
"""Layers of one image at most; engines stop at 127 or at the options of one mount."""


PARALLEL = 4
"""Blobs on their way at a time: more make no registry faster, and each holds a connection."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob."""

    media_type: str
    digest: str
    """`sha256:<hex>`"""
    size: int
    """Bytes."""
    annotations: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[int], Iterator[bytes]]
"""Yields bytes from an offset on."""


class Blob(Protocol):
    """Bytes that a manifest names; they are read again for each use, never held in memory."""

    @property
    def descriptor(self) -> Descriptor:
        """Return what the manifest says of them."""

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on.

        Raises ClocheError `image.changed` if they are not what the descriptor says; from an offset
        other than 0 only a reader of all the bytes can tell.
        """


@dataclass(frozen=True, slots=True)
class Platform:
    """Where an image runs."""

    os: str
    architecture: str
    """In the words of Go: `amd64`, `arm64`."""
    variant: str = ""

    def __str__(self) -> str:
        """Return `linux/amd64`, with the variant where there is one."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def fields(self) -> dict[str, str]:
        """Return the platform as the entry of an index has it."""
        variant = {"variant": self.variant} if self.variant else {}
        return {"os": self.os, "architecture": self.architecture, **variant}


@dataclass(frozen=True, slots=True)
class Image:
    """One image for one platform."""

    manifest: bytes
    """Canonical JSON."""
    descriptor: Descriptor
    """That of the manifest."""
    config: Blob
    layers: tuple[Blob, ...]
    """The first lies undermost; those of the base come first, as the base has them."""
    platform: Platform

    @property
    def root(self) -> SmallBlob:
        """Return the manifest as a blob."""
        return SmallBlob(self.manifest, self.descriptor.media_type)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What goes with an image and is no part of its digest, such as an SBOM."""

    artifact_type: str
    """A media type, by which it is looked for."""
    blobs: tuple[Blob, ...]
    """At least one."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of what was measured, all that counts: one with the same is as good."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An attachment of an image: a manifest of its own, whose subject is that of the image."""

    manifest: bytes
    descriptor: Descriptor
    """That of the manifest."""
    artifact_type: str
    blobs: tuple[Blob, ...]
    """All that the manifest names, its configuration first."""

    @property
    def root(self) -> SmallBlob:
        """Return the manifest as a blob."""
        return SmallBlob(self.manifest, self.descriptor.media_type)


class Destination(Protocol):
    """Where an image goes; nothing of it is seen there before `finish`."""

    parallel: int
    """Blobs that are written at a time at most."""

    def addressed(self, size: int) -> bool:
        """Return whether the digest of a blob of so many bytes has to be known before."""

    @property
    def mounted(self) -> Set[str]:
        """Return the digests of blobs that a registry took from another of its repositories."""

    def holds(self, digest: str) -> bool:
        """Return whether the blob is there already, or is now, with nothing written."""

    def write(self, read: Read, size: int, digest: str | None = None) -> str:
        """Write a blob of `size` bytes and return its digest, taken on the way.

        `digest` is what it has to be. A destination over a network may read again from where it
        broke off.
        """

    def has_alike(self, attachment: Attachment, subject: str) -> bool:
        """Return whether something as good as an attachment refers to a manifest there.

        A destination in which a new one takes the place of an old one has none.
        """

    def put(self, manifest: SmallBlob) -> None:
        """Write a manifest of an index, or one with a subject, whose blobs were all written.

        That comes before `finish` of the index or the subject. What refers to a subject is listed.
        """

    def finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None:
        """Write the manifest or the index of which all was written, and name it.

        It takes the place of one with the same name. A registry has its own name for it.
        """


@dataclass(frozen=True, slots=True)
class SmallBlob:
    """A blob in memory: a configuration, a manifest or a small document."""

    data: bytes
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """Return the descriptor of the bytes."""
        return Descriptor(
            self.media_type, digest_of(self.data), len(self.data), self.annotations
        )  # fmt: skip

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on."""
        yield self.data[start:]


def changed(where: str) -> ClocheError:
    """Return the error for bytes that are not those that were named."""
    return ClocheError(
        "image.changed",
        "The file is not what it was when its digest was taken.",
        where=where,
        hint="Wait until whatever writes it has ended; run the command again to read it anew.",
        retriable=True,
    )
