"""A destination that keeps nothing: what is built for it is hashed, and lies where it lay before.

Such an image is read from the store, as by `loading.stream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.images.destinations.digesting import digest_of_stream

if TYPE_CHECKING:
    from cloche.images.image import Attachment, Platform, Read, SmallBlob
    from cloche.images.names import Name


class Unwritten:
    """Implements `cloche.images.image.Destination`."""

    parallel = 1
    mounted: frozenset[str] = frozenset()

    def addressed(self, size: int) -> bool:  # noqa: ARG002
        """Return True: what has a digest needs no place."""
        return True

    def holds(self, digest: str) -> bool:  # noqa: ARG002 - all that has a digest needs no place
        """Return True: there is nothing to write."""
        return True

    def write(self, read: Read, size: int, digest: str | None = None) -> str:  # noqa: ARG002
        """Return the digest of a blob."""
        return digest_of_stream(read(0))

    def has_alike(self, attachment: Attachment, subject: str) -> bool:  # noqa: ARG002
        """Return False: what is written takes the place of what was there."""
        return False

    def put(self, manifest: SmallBlob) -> None:
        """Keep nothing."""

    def finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None:
        """Keep nothing."""
