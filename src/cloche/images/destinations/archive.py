"""One tar with an OCI layout and Docker's manifest.json, which names the same blobs.

Docker, podman and skopeo load it alike, and containerd does. It is written in one pass: a blob is
hashed while it is written, and the header with its name is filled in afterwards.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cloche.artifacts import encode
from cloche.clients.oci.referrers import subject_of
from cloche.errors import ClocheError, UsageError
from cloche.files import sync_folder, temporary_name, write_all
from cloche.images.destinations import disk, layout
from cloche.images.destinations.digesting import Digesting
from cloche.images.image import changed
from cloche.images.layering import tar
from cloche.images.sources import places
from cloche.images.sources.reading import is_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloche.images.image import Attachment, Platform, Read, SmallBlob
    from cloche.images.names import Name

_BLOBS = "blobs/sha256"


class ArchiveWriter:
    """The destination of an image in a new archive."""

    parallel = 1  # one blob lies behind the other
    mounted: frozenset[str] = frozenset()

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor
        self._written: set[str] = set()
        self._manifests: list[SmallBlob] = []
        for folder in ("blobs", _BLOBS):
            write_all(descriptor, tar.folder_header(folder))
        self._add(layout.MARK, layout.VERSION)

    def addressed(self, size: int) -> bool:  # noqa: ARG002
        """Return False: the header of a blob is written when its name is known."""
        return False

    def holds(self, digest: str) -> bool:
        """Return whether the blob was written."""
        return digest in self._written

    def write(self, read: Read, size: int, digest: str | None = None) -> str:  # noqa: ARG002
        """Write a blob of `size` bytes and return its digest."""
        with disk.writing(self._file):
            return self._write(read, size)

    def _write(self, read: Read, size: int) -> str:
        begin = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        # All names of blobs have one length, and so have their headers.
        write_all(self._descriptor, bytes(len(tar.file_header(_path("0" * 64), size))))
        digesting = Digesting(read(0))
        for chunk in digesting:
            write_all(self._descriptor, chunk)
        if digesting.size != size:
            raise changed(digesting.digest)
        write_all(self._descriptor, bytes(tar.padding(size)))
        header = tar.file_header(_path(digesting.digest), size)
        os.pwrite(self._descriptor, header, begin)
        self._written.add(digesting.digest)
        return digesting.digest

    def has_alike(self, attachment: Attachment, subject: str) -> bool:  # noqa: ARG002
        """Return False: what is written takes the place of what was there."""
        return False

    def put(self, manifest: SmallBlob) -> None:
        """Write a manifest; the index names one with a subject beside it."""
        self.write(manifest.chunks, manifest.descriptor.size)
        self._manifests.append(manifest)

    def finish(self, root: SmallBlob, name: Name | None, platform: Platform | None) -> None:
        """Write manifest, index and Docker's manifest, and end the archive."""
        self.write(root.chunks, root.descriptor.size)
        referring = [each for each in self._manifests if subject_of(each.data)]
        index = layout.index([layout.entry(root, name, platform), *map(layout.referrer, referring)])
        with disk.writing(self._file):
            self._add("index.json", index)
            self._add("manifest.json", self._docker_manifest(root, name))
            write_all(self._descriptor, tar.END)

    def _docker_manifest(self, root: SmallBlob, name: Name | None) -> bytes:
        """Return what Docker reads: of an index its only image."""
        documents = (json.loads(each.data) for each in (*self._manifests, root))
        image = next(each for each in documents if is_image(each))
        entry = {
            "Config": _path(image["config"]["digest"]),
            "RepoTags": [name.familiar] if name is not None and name.familiar else [],
            "Layers": [_path(layer["digest"]) for layer in image["layers"]],
        }
        return encode([entry])

    def _add(self, name: str, data: bytes) -> None:
        write_all(self._descriptor, tar.file_header(name, len(data)) + data)
        write_all(self._descriptor, bytes(tar.padding(len(data))))


def _path(digest: str) -> str:
    return f"{_BLOBS}/{digest.removeprefix('sha256:')}"


def check(file: Path) -> None:
    """Raise ClocheError `image.output` for a folder, and for a file that is no image's archive."""
    if file.is_dir():
        raise ClocheError(
            "image.output", "This is a folder.", where=str(file), hint="Name a file."
        )  # fmt: skip
    if os.path.lexists(file) and not _may_be_replaced(file):
        raise ClocheError(
            "image.output",
            "The file holds something else than an image, and would be replaced.",
            where=str(file),
            hint="Name a new file, or remove this one.",
        )


def _may_be_replaced(file: Path) -> bool:
    """Return whether a file is empty, or the archive of an image."""
    if not file.is_file():
        return False
    if file.stat().st_size == 0:
        return True
    with suppress(ClocheError):
        place = places.opened(file)
        return any(place.find(name) for name in ("index.json", "manifest.json"))
    return False


def check_split(file: Path, *, split: bool) -> None:
    """Raise UsageError `image.split` for two images."""
    if split:
        raise UsageError(
            "image.split",
            "An archive for docker holds one image, and --split makes two.",
            where=str(file),
            hint="Name a folder instead, since an OCI layout takes both, or push them.",
        )


def check_platforms(file: Path, number: int) -> None:
    """Raise UsageError `image.platforms` for images of several platforms."""
    if number > 1:
        raise UsageError(
            "image.platforms",
            f"An archive for docker holds the image of one platform, not of {number}.",
            where=str(file),
            hint="Name a folder instead, since an OCI layout takes several, or one platform with"
            " --platform.",
        )


@contextmanager
def writing(file: Path) -> Iterator[ArchiveWriter]:
    """Yield an archive that appears at `file` when it is whole, in place of an earlier one.

    After an error, ctrl-C included, nothing of it is left. Raises ClocheError `image.output` as
    `check`.
    """
    check(file)
    temporary = file.with_name(temporary_name(f".{file.name}"))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with disk.writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, flags, 0o666)
    try:
        yield ArchiveWriter(file, descriptor)
        with disk.writing(file):
            os.fsync(descriptor)
            temporary.rename(file)
            sync_folder(file.parent)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
