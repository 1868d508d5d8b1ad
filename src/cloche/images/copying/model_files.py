"""Files of a model, taken out of the layers of an image that holds them."""

from __future__ import annotations

import hashlib
import tarfile
from typing import IO, TYPE_CHECKING, cast

from cloche.errors import ClocheError
from cloche.images.config import what_of_layers
from cloche.images.content import MODELS
from cloche.images.copying.overlay import BoundedMember
from cloche.images.image import LAYER
from cloche.images.layering.layers import SMALL_FILES
from cloche.images.sources.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import FileEntry
    from cloche.images.image import Blob
    from cloche.images.sources.reading import ReadImage
    from cloche.progress import Task
    from cloche.store import Store

_CHUNK = 2**20


def bring(image: ReadImage, wanted: Iterable[FileEntry], store: Store, task: Task) -> bool:
    """Put files of the models in an image into a store; return whether all are there.

    Only layers that are as Cloche made them are read, whose files are no larger than they are:
    neither those of the base, nor those that an engine compressed. What a file is its digest says,
    not its name. Raises ClocheError `image.…` and `store.…`.
    """
    missing = {each.digest: each.size for each in wanted if not store.use(each.digest)}
    for what, layer in zip(what_of_layers(image.config), image.layers, strict=False):
        holds_models = what == SMALL_FILES or what.startswith(f"{MODELS}/")
        if missing and holds_models and layer.descriptor.media_type == LAYER:
            _read(layer, missing, store, task)
    return not missing


def _read(layer: Blob, missing: dict[str, int], store: Store, task: Task) -> None:
    """Take what is missing out of a layer."""
    stream = Stream(layer.chunks())
    try:
        with tarfile.open(
            fileobj=cast("IO[bytes]", stream), mode="r|", tarinfo=BoundedMember
        ) as archive:
            for member in archive:
                if member.isreg() and member.size in missing.values():
                    content = archive.extractfile(member)
                    assert content is not None  # noqa: S101 - it is a regular file
                    _take(content, f"{layer.descriptor.digest} {member.name}", missing, store, task)
    except (tarfile.TarError, EOFError) as error:
        what = f"A layer of the image is no tar stream: {error}."
        raise ClocheError("image.broken", what, where=layer.descriptor.digest) from error


def _take(content: IO[bytes], key: str, missing: dict[str, int], store: Store, task: Task) -> None:
    """Store one file if it is one of those that are missing."""
    with store.download(f"model-file {key}") as partial:
        sha256: hashlib._Hash = partial.begin_at(0)
        while chunk := content.read(_CHUNK):
            partial.append(chunk)
            sha256.update(chunk)
            task.advance(len(chunk))
        digest = f"sha256:{sha256.hexdigest()}"
        if missing.pop(digest, None) is None:
            partial.begin_at(0)  # nothing is kept of an empty one
        else:
            store.adopt(partial, digest)
