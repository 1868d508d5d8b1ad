"""Downloading one file of a registry into the store.

A download resumes if the server honours `Range` and the file is unchanged: its digest says so at
the end where the registry gives one, else `If-Range` with the file's ETag (RFC 9110 §13.1.5).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cloche.artifacts import FileEntry
from cloche.clients.streams import BrokenStreamError
from cloche.errors import ClocheError, UnavailableError
from cloche.sources.file_digests import matches

if TYPE_CHECKING:
    import hashlib
    import threading
    from pathlib import Path

    from cloche.clients.streams import FileServer, FileStream
    from cloche.progress import Task
    from cloche.store import Partial, Store

_ATTEMPTS = 5
"""Attempts in a row that may bring no new byte."""
_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each further one."""
_BLOCK = 2**20
_DIGESTS, _TAGS = "remote", "etag"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch: its path in the model, its endpoint, and its expected size in bytes."""

    path: str
    endpoint: str
    size: int | None
    digest: str | None = None
    """The digest that the registry lists (`file_digests.py`)."""
    near: Path | None = None
    """A file on this machine that may have the same bytes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: for the next byte, and before the second attempt."""

    stall: float = 30.0
    pause: float = _PAUSE


class StoppableTask(Protocol):
    """A task that others can stop."""

    stopped: threading.Event

    def advance(self, amount: int) -> None:
        """Add to the finished bytes."""

    def note(self, text: str) -> None:
        """Show the current activity, in a few words."""


class _AgainError(Exception):
    """Another attempt may succeed, by the server's answer."""


class Download:
    """One file."""

    def __init__(
        self, file: RemoteFile, identity: str, server: FileServer, store: Store, patience: Patience
    ) -> None:
        self._file = file
        self._key = file.digest or f"{server.base}\n{identity}\n{file.path}\n{file.size}"
        self._server = server
        self._store = store
        self._patience = patience
        self._shown = 0
        self._connection: socket.socket | None = None

    def cancel(self) -> None:
        """Wake the thread that waits for this file's next byte."""
        connection = self._connection
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stored(self) -> FileEntry | None:
        """Return the file if it is in the store already."""
        digest = self._known_digest()
        if digest is None or not self._store.use(digest):
            return None
        return FileEntry(self._file.path, self._store.blob_path(digest).stat().st_size, digest)

    def _known_digest(self) -> str | None:
        if self._key.startswith("sha256:"):
            return self._key
        remembered = self._store.recall(_DIGESTS, self._key)
        return remembered.decode() if remembered else None

    def run(self, task: StoppableTask) -> FileEntry:
        """Fetch the file, unless another process does so first."""
        waiting = f"{self._file.path}: another process is fetching it"
        with self._store.download(self._key, waiting=lambda: task.note(waiting)) as partial:
            entry = self.stored()
            if entry is None:
                digest = self._here(partial) or self._copied(partial, task)
                digest = digest or self._arrive(partial, task)
                entry = FileEntry(self._file.path, partial.size, digest)
                self._store.adopt(partial, digest)
                self._store.remember(_DIGESTS, self._key, digest.encode())
        self._show(task, entry.size)
        return entry

    # ── from this machine ─────────────────────────────────────────────────────────────────────

    def _here(self, partial: Partial) -> str | None:
        """Return the digest of a partial file that is whole: its writer was killed at the end."""
        if self._file.digest is None or partial.size != self._file.size:
            return None
        sha256 = f"sha256:{partial.begin_at(partial.size).hexdigest()}"
        return sha256 if self._is_right(partial, sha256) else None

    def _copied(self, partial: Partial, task: StoppableTask) -> str | None:
        """Copy the file that is near; return its digest, None if it is not the same file."""
        near = self._file.near
        if near is None or not near.is_file() or near.stat().st_size != self._file.size:
            return None
        digest = partial.begin_at(0)
        with suppress(OSError), near.open("rb") as source:
            while block := source.read(_BLOCK):
                self._take(block, partial, digest, task)
        sha256 = f"sha256:{digest.hexdigest()}"
        if self._is_right(partial, sha256):
            return sha256
        partial.begin_at(0)
        self._show(task, 0)
        return None

    # ── from the server ───────────────────────────────────────────────────────────────────────

    def _arrive(self, partial: Partial, task: StoppableTask) -> str:
        failures, furthest, pause = 0, partial.size, self._patience.pause
        while True:
            try:
                return self._attempt(partial, task)
            except (_AgainError, BrokenStreamError) as error:
                if partial.size > furthest:
                    failures, furthest, pause = 0, partial.size, self._patience.pause
                failures += 1
                if task.stopped.is_set():
                    raise _stop_error() from error
                if failures >= _ATTEMPTS or (
                    isinstance(error, BrokenStreamError) and error.hopeless
                ):
                    raise self._cut_off_error(error, partial.size) from error
            task.note(f"{self._file.path}: the connection broke, trying again")
            task.stopped.wait(pause)
            pause = min(pause * 2, 10.0)

    def _attempt(self, partial: Partial, task: StoppableTask) -> str:
        begun = self._offset(partial)
        stall = self._patience.stall
        with self._server.stream(self._file.endpoint, self._headers(begun), stall) as stream:
            self._connection = stream.connection
            if stream.status == 416:
                partial.begin_at(0)
            _check(stream)
            offset = begun if stream.status == 206 and _continues(stream, begun) else 0
            if offset == 0:
                self._remember_tag(stream)
            self._show(task, offset)
            digest = partial.begin_at(offset)
            for block in stream.blocks():
                self._take(block, partial, digest, task)
        self._check_size(partial, stream)
        return self._checked(partial, f"sha256:{digest.hexdigest()}", resumed=offset > 0)

    def _offset(self, partial: Partial) -> int:
        """Return the byte to go on from."""
        # A complete partial file was never confirmed as whole, so it is fetched again.
        if partial.size == self._file.size:
            return 0
        return partial.size if self._file.digest or self._tag() else 0

    def _headers(self, offset: int) -> dict[str, str]:
        if not offset:
            return {}
        unless_changed = {} if self._file.digest else {"If-Range": self._tag()}
        return {"Range": f"bytes={offset}-", **unless_changed}

    def _tag(self) -> str:
        return (self._store.recall(_TAGS, self._key) or b"").decode()

    def _take(
        self, block: bytes, partial: Partial, digest: hashlib._Hash, task: StoppableTask
    ) -> None:
        if task.stopped.is_set():
            raise _stop_error()
        partial.append(block)
        digest.update(block)
        self._show(task, partial.size)
        if self._file.size is not None and partial.size > self._file.size:
            raise self._size_error(partial.size)

    def _remember_tag(self, stream: FileStream) -> None:
        tag = stream.headers.get("ETag", "")
        # A weak tag says that two bodies are equivalent, not that their bytes are equal.
        strong = "" if tag.startswith("W/") else tag
        self._store.remember(_TAGS, self._key, strong.encode())

    def _show(self, task: Task | StoppableTask, size: int) -> None:
        task.advance(size - self._shown)
        self._shown = size

    # ── checks ────────────────────────────────────────────────────────────────────────────────

    def _check_size(self, partial: Partial, stream: FileStream) -> None:
        """Raise when fewer bytes arrived than the registry lists for the file."""
        if self._file.size is not None and partial.size < self._file.size:
            if int(stream.headers.get("Content-Length", -1)) >= 0:
                raise self._size_error(partial.size)
            raise _AgainError("the answer ended early")

    def _checked(self, partial: Partial, sha256: str, *, resumed: bool) -> str:
        """Return the digest of what arrived; raises source.download.digest, keeping no byte."""
        if self._is_right(partial, sha256):
            return sha256
        partial.begin_at(0)
        if resumed:  # Its first bytes may be of another file, or damaged on this disk.
            raise _AgainError("the resumed file has another digest")
        raise self._digest_error()

    def _is_right(self, partial: Partial, sha256: str) -> bool:
        return matches(self._file.digest, sha256, partial.path)

    # ── errors ────────────────────────────────────────────────────────────────────────────────

    def _size_error(self, size: int) -> ClocheError:
        return ClocheError(
            "source.download.size",
            f"The server sends {size} bytes of {self._file.path}, and the registry lists"
            f" {self._file.size}.",
            where=self._server.base,
            hint="The file was changed or damaged in the registry: store the model there again.",
        )

    def _digest_error(self) -> ClocheError:
        return UnavailableError(
            "source.download.digest",
            f"The bytes of {self._file.path} that arrived do not have the digest that the registry"
            f" lists, {self._file.digest}.",
            where=self._server.base,
            hint="Run the same command again: it fetches the file anew. If that fails too, the file"
            " is damaged there, or something on the way changes it.",
        )

    def _cut_off_error(self, error: Exception, size: int) -> ClocheError:
        broken = error if isinstance(error, BrokenStreamError) else None
        if broken and size == 0:
            return broken.error
        why = "the connection broke" if broken else str(error)
        if broken and broken.stalled:
            why = f"no byte came for {self._patience.stall:.0f} seconds"
        of = f" of {self._file.size}" if self._file.size is not None else ""
        return UnavailableError(
            "source.download.cut",
            f"The download of {self._file.path} was cut off at {size}{of} bytes: {why},"
            f" {_ATTEMPTS} times in a row.",
            where=self._server.base,
            hint="Run the same command again: it resumes the download.",
        )


def _stop_error() -> ClocheError:
    return ClocheError("source.download.stopped", "The downloads were stopped.")


def _check(stream: FileStream) -> None:
    if stream.status in {416, 429} or stream.status >= 500:
        raise _AgainError(f"the server answered {stream.status}")
    if stream.status >= 300:
        stream.check()


def _continues(stream: FileStream, offset: int) -> bool:
    """Return whether a partial answer begins at `offset`."""
    return str(stream.headers.get("Content-Range", "")).startswith(f"bytes {offset}-")
