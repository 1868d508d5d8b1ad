"""A repository of a registry as the destination of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.images.image import MANIFEST
from cloche.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloche.clients.oci.reference import ImageReference
    from cloche.clients.oci.registry import Registry
    from cloche.images.image import Artifact, Image, Read


class RepositoryWriter:
    """Where an image is pushed: its blobs first, the manifest under a tag last.

    `mountable` names another repository of the same registry that has a blob, by its digest.
    """

    addressed = True

    def __init__(
        self, registry: Registry, reference: ImageReference, mountable: Mapping[str, str]
    ) -> None:
        self._registry, self._reference = registry, reference
        self._mountable = mountable

    def holds(self, digest: str) -> bool:
        """Return whether the repository has a blob, or shares it now with another one."""
        name = self._reference.name
        if self._registry.has_blob(name, digest):
            return True
        other = self._mountable.get(digest)
        return other is not None and self._registry.mount(name, digest, other)

    def write(self, read: Read, size: int, digest: str | None = None) -> str:
        """Send a blob, resumed after breaks; raises ClocheError `registry.…`."""
        assert digest is not None  # noqa: S101 - the destination is addressed
        # `read` tells what was taken by itself.
        with SilentProgress().task("") as task:
            self._registry.upload(self._reference.name, digest, size, read, task)
        return digest

    def attach(self, artifact: Artifact) -> None:
        """Store the manifest of an artefact under its digest.

        A registry takes it before its subject (distribution specification 1.1, "Pushing manifests
        with subject"), so that the tag names an image only when all of it is there.
        """
        where, digest = self._reference.name, artifact.descriptor.digest
        self._registry.put_manifest(where, digest, artifact.manifest, MANIFEST)

    def finish(self, image: Image, name: str) -> None:  # noqa: ARG002 - the tag is the user's
        """Store the manifest under the tag."""
        where, tag = self._reference.name, self._reference.reference
        self._registry.put_manifest(where, tag, image.manifest, MANIFEST)
