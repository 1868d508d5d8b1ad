"""Compressed streams, opened with a bound on what comes out of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from cloche.pickles.streams import Stream, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from cloche.pickles.found import Found
    from cloche.pickles.streams import Content

_CHUNK = 2**16


class Inflating(io.RawIOBase):
    """The content of a zlib stream, or of a raw one (`bits` below zero), as in a zip archive.

    joblib reads several zlib streams in a row as one; so does this.
    """

    def __init__(self, file: BinaryIO, bits: int = zlib.MAX_WBITS) -> None:
        self._file, self._bits = file, bits
        self._inflate = zlib.decompressobj(bits)
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        while view.nbytes:
            if self._inflate.eof and self._bits > 0:
                self._input = self._inflate.unused_data
                self._inflate = zlib.decompressobj(self._bits)
            self._input = self._input or self._file.read(_CHUNK)
            data = self._inflate.decompress(self._input, len(view))
            ended = not self._input
            self._input = self._inflate.unconsumed_tail
            if data or ended or (self._inflate.eof and self._bits < 0):
                view[: len(data)] = data
                return len(data)
        return 0


class Counted(io.RawIOBase):
    """What comes out of a compressed file, counted among what a scan decompresses.

    It closes the compressed file, which gzip, bz2 and lzma leave to whoever opened it.
    """

    def __init__(self, file: BinaryIO, compressed: BinaryIO, found: Found) -> None:
        self._file, self._compressed, self._found = file, compressed, found

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        data = self._file.read(min(memoryview(buffer).nbytes, _CHUNK))
        self._found.decompressed(len(data))
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._compressed.close()
        super().close()


def _as_binary(file: object) -> BinaryIO:
    return cast("BinaryIO", file)


OPENERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda file: _as_binary(gzip.GzipFile(fileobj=file)),
    b"BZ": lambda file: _as_binary(bz2.BZ2File(file)),
    b"\xfd7zXZ": lambda file: _as_binary(lzma.LZMAFile(file)),  # noqa: SIM115 - as all of these
    b"]\x00": lambda file: _as_binary(lzma.LZMAFile(file)),  # noqa: SIM115
    b"x": lambda file: _as_binary(Inflating(file)),
}
"""By the first bytes, as joblib tells them apart (joblib.compressor)."""
CLOSED = {
    b"\x04\x22\x4d\x18": "It is compressed with lz4, which the scanner cannot open.",
    b"\x28\xb5\x2f\xfd": "It is compressed with Zstandard, which the scanner cannot open.",
    b"ZF": "It is in the format of joblib before 0.10, which the scanner cannot open.",
}
"""What may hold a pickle and stays closed, by the first bytes."""


def read_compressed(content: Content, found: Found, inner: Callable[[Content], None]) -> None:
    """Read what is compressed; the place stays that of the file, as loaders see but one."""
    head = content.head(6)
    opener = next(opener for prefix, opener in OPENERS.items() if head.startswith(prefix))

    def open_() -> BinaryIO:
        file = content.open()
        return _as_binary(io.BufferedReader(Counted(opener(file), file, found), _CHUNK))

    try:
        with open_() as file:
            Stream(file).exactly(1)
    except Unreadable as problem:
        # Text may begin with such bytes: where nothing comes out, nothing can be loaded.
        if content.strict:
            found.unreadable(problem, content.place)
        return
    inner(content.inside(content.place, open_, strict=content.strict))
