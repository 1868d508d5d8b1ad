"""A repository of a registry as the destination of an image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cloche.clients.oci.upload import SMALL
from cloche.images.image import PARALLEL
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.clients.oci.reference import ImageReference
    from cloche.clients.oci.registry import Registry
    from cloche.images.image import Attachment, Platform, Read, SmallBlob
    from cloche.images.names import Name


class RepositoryWriter:
    """Where an image is pushed: its blobs first, the manifest under a tag last.

    `mountable` names another repository of the same registry that has a blob, by its digest.
    """

    parallel = PARALLEL

    def __init__(
        self, registry: Registry, reference: ImageReference, mountable: Mapping[str, str]
    ) -> None:
        self._registry, self.reference = registry, reference
        self._mountable = mountable
        self.mounted: set[str] = set()
        self._is_new: bool | None = None

    def under(self, tag: str) -> RepositoryWriter:
        """Return the same repository as the destination of another image, under that tag."""
        reference = replace(self.reference, tag=tag)
        return RepositoryWriter(self._registry, reference, self._mountable)

    def addressed(self, size: int) -> bool:
        """Return whether a blob may be there, so that it is looked for before it is sent.

        A repository with no tag has none: there a large one is hashed while it is sent. A small one
        goes in one request, which begins with the digest.
        """
        if size <= SMALL:
            return True
        if self._is_new is None:  # asked twice at worst
            self._is_new = self._registry.is_new(self.reference.name)
        return not self._is_new

    def holds(self, digest: str) -> bool:
        """Return whether the repository has a blob, or shares it now with another one."""
        name = self.reference.name
        if self._registry.has_blob(name, digest):
            return True
        other = self._mountable.get(digest)
        if other is None or not self._registry.mount(name, digest, other):
            return False
        self.mounted.add(digest)
        return True

    def write(self, read: Read, size: int, digest: str | None = None) -> str:
        """Send a blob, resumed after breaks; raises ClocheError `registry.…`."""
        # `read` tells what was taken by itself.
        with SilentProgress().task("") as task:
            return self._registry.upload(self.reference.name, digest, size, read, task)

    def has_alike(self, attachment: Attachment, subject: str) -> bool:
        """Return whether the repository has an attachment of this type with these annotations."""
        if not attachment.annotations:
            return False
        name, kind = self.reference.name, attachment.artifact_type
        wanted = attachment.annotations.items()
        there = self._registry.referrers(name, subject, kind)
        return any(wanted <= each.annotations.items() for each in there)

    def put(self, manifest: SmallBlob) -> None:
        """Store a manifest under its digest.

        A registry takes one before its subject (distribution specification 1.1, "Pushing manifests
        with subject"), so that the tag names an image only when all of it is there.
        """
        self._store(manifest.descriptor.digest, manifest)

    def finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None:  # noqa: ARG002 - the name is the reference
        """Store the manifest under the tag or the digest."""
        self._store(self.reference.reference, root)

    def _store(self, reference: str, manifest: SmallBlob) -> None:
        where = self.reference.name
        self._registry.put_manifest(where, reference, manifest.data, manifest.media_type)
