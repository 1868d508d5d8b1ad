"""Layers whose files are made, not stored: each is kept in the store as the tar stream it is.

A base has thousands of small files that nothing else uses one by one. As streams they are a handful
of blobs: to look for them, to read and to send them costs the same as for one file each.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import decode, digest_of, encode
from cloche.images.image import LAYER, Descriptor
from cloche.images.sources.places import Range, StoredBlob

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.images.layering.file_tree import FileTree
    from cloche.progress import Task
    from cloche.store import Store

_KIND = "tree-layer"


@dataclass(frozen=True, slots=True)
class TreeLayer:
    """One layer: in a few words what it is, all that it follows from, and how it is made."""

    what: str
    inputs: tuple[object, ...]
    """Values that `encode` takes: the same ones give the same bytes."""
    tree: Callable[[], FileTree]

    def known(self, store: Store) -> StoredBlob | None:
        """Return the layer if it was made before and is in the store."""
        remembered = store.recall(_KIND, self._key)
        with suppress(ValueError):  # another state of this version wrote it
            descriptor = decode(Descriptor, remembered) if remembered else None
            if descriptor is not None and store.use(descriptor.digest):
                return _blob(store, descriptor)
        return None

    def made(self, store: Store, task: Task) -> StoredBlob:
        """Return the layer; make it if it is missing. Raises ClocheError `store.…`."""
        known = self.known(store)
        if known is not None:
            return known
        task.note(self.what)
        tree = self.tree()
        waiting = f"{self.what}: another process makes it"
        with store.download(f"{_KIND} {self._key}", waiting=lambda: task.note(waiting)) as partial:
            sha256 = partial.begin_at(0)
            for chunk in tree.stream():
                partial.append(chunk)
                sha256.update(chunk)
            descriptor = Descriptor(LAYER, f"sha256:{sha256.hexdigest()}", partial.size)
            store.adopt(partial, descriptor.digest)
        store.remember(_KIND, self._key, encode(descriptor))
        return _blob(store, descriptor)

    @property
    def _key(self) -> str:
        return digest_of(encode(self.inputs)).removeprefix("sha256:")


def _blob(store: Store, descriptor: Descriptor) -> StoredBlob:
    return StoredBlob(descriptor, Range(store.blob_path(descriptor.digest), 0, descriptor.size))
