"""Computes the digest of bytes on their way, in a second thread."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cloche.images.image import changed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SMALL = 256 * 2**10
"""Bytes that are hashed faster than another thread wakes up."""


class Digesting:
    """Chunks that pass through; `digest` is of those that have passed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._sha256 = hashlib.sha256()
        self.size = 0

    def begin(self, chunks: Iterable[bytes]) -> None:
        """Count bytes that passed before, in an earlier try."""
        for chunk in chunks:
            self.size += len(chunk)
            self._sha256.update(chunk)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks; each is hashed while its reader works on it."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cloche-digest") as pool:
            for chunk in self._chunks:
                self.size += len(chunk)
                if len(chunk) <= _SMALL:
                    self._sha256.update(chunk)
                    yield chunk
                    continue
                hashed = pool.submit(self._sha256.update, chunk)
                yield chunk
                hashed.result()

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>`."""
        return f"sha256:{self._sha256.hexdigest()}"


def checked(chunks: Iterable[bytes], digest: str, where: str) -> Iterator[bytes]:
    """Yield chunks; raises ClocheError `image.changed` at their end if they have another digest."""
    digesting = Digesting(chunks)
    yield from digesting
    if digesting.digest != digest:
        raise changed(where)


def digest_of_stream(chunks: Iterable[bytes]) -> str:
    """Return the digest of chunks, which are read to their end.

    Reading takes a tenth of the time of hashing: no second thread makes this faster, and several
    layers are hashed at a time.
    """
    digesting = Digesting(())
    digesting.begin(chunks)
    return digesting.digest
