"""Files streamed by a server, over any protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cloche.errors import ClocheError


class BrokenStreamError(Exception):
    """The connection failed; `error` is the error to raise if nothing has arrived yet."""

    def __init__(self, error: ClocheError, *, stalled: bool, hopeless: bool) -> None:
        super().__init__(error.what)
        self.error = error
        self.stalled = stalled
        """Whether no byte came in time."""
        self.hopeless = hopeless
        """Whether another attempt would certainly fail."""


@dataclass(frozen=True, slots=True)
class FileStream:
    """An answer whose body has not been read yet."""

    status: int
    headers: Mapping[str, str]
    """By case-insensitive name."""
    blocks: Callable[[], Iterator[bytes]]
    """Yields the body; raises BrokenStreamError through the context that opened it."""
    check: Callable[[], None]
    """Raises the error for a status above 299."""
    connection: socket.socket | None


class FileServer(Protocol):
    """Sends files, starting at any byte."""

    base: str

    def stream(
        self, endpoint: str, headers: dict[str, str], stall: float
    ) -> AbstractContextManager[FileStream]:
        """Open a file; `stall` is the most seconds without a byte.

        Raises BrokenStreamError, at the start or within the context.
        """
