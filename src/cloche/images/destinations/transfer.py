"""Brings blobs to a destination, several at a time where it can take them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cloche.errors import ClocheError
from cloche.images.image import changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cloche.images.image import Blob, Destination, Read
    from cloche.progress import Task


T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Amounts:
    """Bytes of blobs, by what was done with them."""

    copied: int = 0
    there: int = 0
    """The destination had them."""
    mounted: int = 0
    """A registry took them from another of its repositories."""


@dataclass
class Transfer:
    """Blobs on their way to a destination, in any thread; `amounts` are of those that are there."""

    destination: Destination
    task: Task
    amounts: Amounts = field(default_factory=Amounts)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bring(self, blobs: Iterable[Blob]) -> None:
        """Write blobs whose digests are known, each once; those that are there are not read.

        The first error ends the others at their next bytes.
        """
        self.each(self._bring, {blob.descriptor.digest: blob for blob in blobs}.values())

    def each(self, write: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what `write` returns for each item, several at a time.

        The first error ends the others at their next bytes.
        """
        work = list(items)
        if self.destination.parallel == 1 or len(work) < 2:
            return [write(item) for item in work]
        with ThreadPoolExecutor(self.destination.parallel, "cloche-blob") as pool:
            futures = [pool.submit(write, item) for item in work]
            try:
                for done in as_completed(futures):
                    done.result()
            except BaseException:
                self._ended.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return [future.result() for future in futures]

    def passed(self, size: int) -> None:
        """Tell the task of bytes that were written, or need not be."""
        with self._lock:
            self.task.advance(size)

    def told(self, read: Read) -> Read:
        """Return a reader that tells the task of what was taken."""

        def told(start: int) -> Iterator[bytes]:
            for chunk in read(start):
                if self._ended.is_set():
                    raise ClocheError("image.stopped", "Another part of the image failed.")
                yield chunk
                self.passed(len(chunk))

        return told

    def _bring(self, blob: Blob) -> None:
        descriptor = blob.descriptor
        if self.destination.holds(descriptor.digest):
            is_mounted = descriptor.digest in self.destination.mounted
            self._count("mounted" if is_mounted else "there", descriptor.size)
            self.passed(descriptor.size)
            return
        read = self.told(blob.chunks)
        digest = self.destination.write(read, descriptor.size, descriptor.digest)
        if digest != descriptor.digest:
            raise changed(descriptor.digest)
        self._count("copied", descriptor.size)

    def _count(self, what: str, size: int) -> None:
        with self._lock:
            setattr(self.amounts, what, getattr(self.amounts, what) + size)
