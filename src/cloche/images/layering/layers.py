"""Layers of files of the store, as tar streams that are never whole in memory.

A large file has a layer of its own, so that files pull in parallel and one that did not change is
never sent again. No layer is compressed: weights shrink by a few percent at a hundredth of the
speed, and the bytes of a gzip stream depend on the library that wrote them (zlib, zlib-ng), so that
the digest would be another one on another machine.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry, decode, digest_of, encode
from cloche.errors import ClocheError
from cloche.images.destinations.digesting import checked
from cloche.images.image import LAYER, MOST_LAYERS, Descriptor, changed
from cloche.images.layering import tar
from cloche.store import trees
from cloche.store.blobs import missing
from cloche.store.disk import STAMP_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloche.images.image import Blob
    from cloche.store import Store

LARGE = 64 * 10**6
"""Bytes from which on a file has a layer of its own."""
SMALL_FILES = "model files"
"""What the layer of all other files of a model is called."""
_CHUNK = 2**20
_KIND = "layer"
_FORM = 1
"""Counts the changes of the form of a layer: its digest is remembered for its files and this."""


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One file of a layer: where it lies in the image, and its bytes in the store."""

    path: str
    """Without a leading slash: `models/scores/config.pbtxt`."""
    size: int
    digest: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class LayerLink:
    """A symbolic link of a layer."""

    path: str
    """Without a leading slash."""
    target: str


@dataclass(frozen=True)
class Layer:
    """The files and links of one layer, and in a word what they are."""

    what: str
    files: tuple[LayerFile, ...]
    links: tuple[LayerLink, ...] = ()

    @cached_property
    def size(self) -> int:
        """Return the bytes of the tar stream."""
        return sum(
            len(part) if isinstance(part, bytes) else part.size for part in self._parts()
        )  # fmt: skip

    def chunks(self, store: Store, start: int = 0) -> Iterator[bytes]:
        """Yield the tar stream from an offset on.

        Raises ClocheError `image.changed` if a file is written to meanwhile, and `store.missing`.
        """
        for part in self._parts():
            size = len(part) if isinstance(part, bytes) else part.size
            if start >= size:
                start -= size
                continue
            if isinstance(part, bytes):
                yield part[start:]
            else:
                yield from _read(store.blob_path(part.digest), part, start)
            start = 0

    def known(self, store: Store) -> Descriptor | None:
        """Return the descriptor of the stream if it was computed before."""
        remembered = store.recall(_KIND, self._key)
        with suppress(ValueError):  # another state of this version wrote it
            return decode(Descriptor, remembered) if remembered else None
        return None

    def remember(self, store: Store, digest: str) -> Descriptor:
        """Keep the digest of the stream in the store, and return its descriptor."""
        descriptor = Descriptor(LAYER, digest, self.size)
        store.remember(_KIND, self._key, encode(descriptor))
        return descriptor

    @cached_property
    def _key(self) -> str:
        return digest_of(encode([_FORM, self.files, self.links])).removeprefix("sha256:")

    def _parts(self) -> Iterator[bytes | LayerFile]:
        """Yield headers, files and padding, each folder before what is in it."""
        for path, entry in sorted(_with_folders((*self.files, *self.links)).items()):
            if entry is None:
                yield tar.folder_header(path)
            elif isinstance(entry, LayerLink):
                yield tar.link_header(path, entry.target)
            else:
                yield tar.file_header(path, entry.size, executable=entry.executable)
                yield entry
                yield bytes(tar.padding(entry.size))
        yield tar.END


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer with its digest, which is its diff_id too; a blob of an image."""

    layer: Layer
    store: Store
    descriptor: Descriptor

    @property
    def what(self) -> str:
        """Return in a word what the layer is."""
        return self.layer.what

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on; see `image.Blob`."""
        if start:
            yield from self.layer.chunks(self.store, start)
            return
        yield from checked(self.layer.chunks(self.store), self.descriptor.digest, self.layer.what)


@dataclass(frozen=True, slots=True)
class MadeLayer:
    """A layer whose bytes are a blob already."""

    what: str
    blob: Blob

    @property
    def descriptor(self) -> Descriptor:
        """Return what a manifest says of it."""
        return self.blob.descriptor

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from an offset on; see `image.Blob`."""
        return self.blob.chunks(start)


def divide(
    files: Sequence[LayerFile], free: int = MOST_LAYERS, links: tuple[LayerLink, ...] = ()
) -> tuple[Layer, ...]:
    """Return the layers of a model's files, at most `free`: small ones with links, then weights.

    If there are more large files than layers, the smaller ones share the first layer.
    """
    check_paths(files)
    if free < 1:
        raise ClocheError(
            "image.layers",
            f"The base has so many layers that none of {MOST_LAYERS} is left for the model.",
            hint="Take a base with fewer layers.",
        )
    by_size = sorted((file for file in files if file.size >= LARGE), key=lambda file: -file.size)
    alone = set(by_size[: free - 1])
    rest = tuple(file for file in files if file not in alone)
    weights = [Layer(file.path, (file,)) for file in files if file in alone]
    return (*([Layer(SMALL_FILES, rest, links)] if rest or links else []), *weights)


def check_paths(files: Sequence[LayerFile]) -> None:
    """Raise ClocheError `store.path` for a path that leaves the image or clashes with another."""
    trees.check_paths(FileEntry(file.path, file.size, file.digest) for file in files)


def _with_folders(
    entries: Sequence[LayerFile | LayerLink],
) -> dict[str, LayerFile | LayerLink | None]:
    """Return files and links by path, and every folder above them as None."""
    known: dict[str, LayerFile | LayerLink | None] = {}
    for entry in entries:
        for parent in PurePosixPath(entry.path).parents[:-1]:
            known[str(parent)] = None
    return known | {entry.path: entry for entry in entries}


def _read(path: Path, file: LayerFile, start: int) -> Iterator[bytes]:
    """Yield the bytes of a stored file; raises `image.changed` if it is not untouched."""
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise missing("file", file.digest) from None
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link in its place
            raise
        raise changed(str(path)) from error
    try:
        _require_untouched(source, path, file)
        offset = start
        while block := os.pread(source, min(_CHUNK, file.size - offset), offset):
            offset += len(block)
            yield block
        _require_untouched(source, path, file)
        if offset != file.size:
            raise changed(str(path))
    finally:
        os.close(source)


def _require_untouched(source: int, path: Path, file: LayerFile) -> None:
    """Raise `image.changed` if a write left its mark on a stored file."""
    status = os.fstat(source)
    regular = stat.S_ISREG(status.st_mode)
    if not regular or status.st_size != file.size or status.st_mtime_ns != STAMP_NS:
        raise changed(str(path))
