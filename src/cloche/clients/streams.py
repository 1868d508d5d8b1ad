"""A file as a server sends it, whichever protocol the server speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cloche.errors import ClocheError


class BrokenStreamError(Exception):
    """The connection failed; `error` is what that means where nothing has arrived yet."""

    def __init__(self, error: ClocheError, *, stalled: bool, hopeless: bool) -> None:
        super().__init__(error.what)
        self.error = error
        self.stalled = stalled
        """Whether it failed because no byte came in time."""
        self.hopeless = hopeless
        """Whether another attempt fails for sure."""


@dataclass(frozen=True, slots=True)
class FileStream:
    """An answer whose body has not been read yet."""

    status: int
    headers: Mapping[str, str]
    """By name in any case."""
    blocks: Callable[[], Iterator[bytes]]
    """Gives the body; raises BrokenStreamError through the context that opened it."""
    check: Callable[[], None]
    """Raises the error that an answer above 299 means."""
    connection: socket.socket | None


class FileServer(Protocol):
    """Sends files, from any byte on."""

    base: str

    def stream(
        self, endpoint: str, headers: dict[str, str], stall: float
    ) -> AbstractContextManager[FileStream]:
        """Open a file; `stall` is how many seconds may pass without a byte.

        Raises BrokenStreamError, also out of the context.
        """
