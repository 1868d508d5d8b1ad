"""The bytes of a blob that is sent, read in order and never held."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cloche.errors import ClocheError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Content(Protocol):
    """The bytes to send: their number, how to read them from any byte, and their digest."""

    @property
    def size(self) -> int:
        """Return the number of bytes."""

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>`; it may be that they have to be read before."""

    def chunks(self, start: int) -> Iterator[bytes]:
        """Yield the bytes from an offset on."""


@dataclass(frozen=True, slots=True)
class NamedContent:
    """Bytes whose digest is known."""

    digest: str
    size: int
    read: Callable[[int], Iterator[bytes]]

    def chunks(self, start: int) -> Iterator[bytes]:
        """Yield the bytes from an offset on."""
        return self.read(start)


class UnnamedContent:
    """Bytes whose digest is computed while they are sent, each byte once however often it is."""

    def __init__(self, size: int, read: Callable[[int], Iterator[bytes]]) -> None:
        self.size, self._read = size, read
        self._sha256, self._hashed = hashlib.sha256(), 0

    @property
    def digest(self) -> str:
        """Return the digest of all bytes, which were read to their end."""
        if self._hashed != self.size:
            raise AssertionError("unreachable: the digest is asked for when all was sent")
        return f"sha256:{self._sha256.hexdigest()}"

    def chunks(self, start: int) -> Iterator[bytes]:
        """Yield the bytes from an offset on, of which all before were read once."""
        position = start
        for block in self._read(start):
            position += len(block)
            new = position - self._hashed
            if new > 0:
                self._sha256.update(memoryview(block)[-new:] if new < len(block) else block)
                self._hashed = position
            yield block


class BlobReader:
    """Reads a blob in order; it is opened anew only where a request begins elsewhere."""

    def __init__(self, content: Content, host: str) -> None:
        self._content, self._host = content, host
        self._blocks: Iterator[bytes] = iter(())
        self._position: int | None = None
        self._rest = b""

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from one offset to another; raises ClocheError `registry.size`."""
        if start == end:
            return
        if start != self._position:
            self.close()
            self._blocks, self._position, self._rest = self._content.chunks(start), start, b""
        position = start
        while position < end:
            block = self._rest or self._next()
            taken, self._rest = block[: end - position], block[end - position :]
            position += len(taken)
            if position == self._content.size:
                # Before the last bytes are sent: a reader may find at its end that they are wrong.
                self._check_end()
            self._position = position
            yield taken

    def close(self) -> None:
        """Let go of what is read from."""
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()
        self._position = None

    def _next(self) -> bytes:
        block = next(self._blocks, None)
        if block is None:
            raise self._size_error("fewer")
        return block

    def _check_end(self) -> None:
        if self._rest or any(self._blocks):
            raise self._size_error("more")

    def _size_error(self, how: str) -> ClocheError:
        return ClocheError(
            "registry.size",
            f"There are {how} bytes to send than the {self._content.size} of the blob.",
            where=self._host,
            hint="A file was changed while it was read: run the same command again.",
        )


class Body:
    """A part of the blob as the content of a request; it is read anew each time it is sent."""

    def __init__(
        self, reader: BlobReader, start: int, end: int, sent: Callable[[int], None]
    ) -> None:
        self._reader, self._start, self._end, self._sent = reader, start, end, sent

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, and say after each block where in the blob it ended."""
        position = self._start
        for block in self._reader.between(self._start, self._end):
            yield block
            position += len(block)
            self._sent(position)
