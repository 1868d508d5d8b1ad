"""The files of a layer in memory: small, and from whoever made the image."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING, cast

from cloche.errors import ClocheError
from cloche.images.sources.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.images.image import Blob

_MOST = 2**30
"""Bytes of one layer or document at most, as it is and unpacked."""


def read(layer: Blob, where: str | None) -> dict[str, bytes]:
    """Return the regular files of a layer by path; compressed by gzip it is read, too.

    Raises ClocheError `image.golden`, and `image.changed` for other bytes than those of its digest.
    """
    files: dict[str, bytes] = {}
    stream = Stream(_chunks(layer, where))
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|*") as archive:
            for member in archive:
                if member.offset_data + member.size > _MOST:
                    raise broken(where, "its layer is too large")
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    files[member.name] = content.read()
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise broken(where, f"its layer is no tar stream ({error})") from error
    stream.drain()
    return files


def whole(blob: Blob, where: str | None) -> bytes:
    """Return the bytes of a document; raises `image.golden` for a large one."""
    return b"".join(_chunks(blob, where))


def broken(where: str | None, why: str) -> ClocheError:
    """Return the error for a golden request that does not hold together."""
    return ClocheError(
        "image.golden",
        f"The golden request of the image cannot be read: {why}.",
        where=where,
        hint="Build the image again, or ask it yourself: `cloche infer --help`.",
    )


def _chunks(blob: Blob, where: str | None) -> Iterator[bytes]:
    if blob.descriptor.size > _MOST:
        raise broken(where, "a part of it is too large")
    return blob.chunks()
