"""Downloading files of a registry into the store: in parallel, resumable, every wait bounded.

Partial files are kept in the store under a name derived from the file. After a cut connection, an
error or the death of the process a download resumes, if the server honours `Range` and the file is
unchanged (`If-Range` with its ETag, RFC 9110 §13.1.5).
"""

from __future__ import annotations

import hashlib
import socket
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import FileEntry
from cloche.clients.streams import BrokenStreamError
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.clients.streams import FileServer, FileStream
    from cloche.progress import Progress, Task
    from cloche.store import Partial, Store

_TOGETHER = 4
_ATTEMPTS = 5
"""Attempts in a row that may bring no new byte."""
_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each further one."""
_DIGESTS, _TAGS = "remote", "etag"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch: its path in the model, its endpoint, and its expected size in bytes."""

    path: str
    endpoint: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: for the next byte, and before the second attempt."""

    stall: float = 30.0
    pause: float = _PAUSE


class _AgainError(Exception):
    """Another attempt may succeed, by the server's answer."""


def fetch(
    files: Sequence[RemoteFile],
    *,
    identity: str,
    title: str,
    server: FileServer,
    store: Store,
    progress: Progress,
    patience: Patience | None = None,
) -> tuple[FileEntry, ...]:
    """Fetch files into the store and return them ordered by path.

    `identity` names the version that the files belong to: files of one identity with the same path
    and size are taken to be the same. Raises source.download.… and store.full; partial files stay.
    """
    jobs = {
        file: _Download(file, identity, server, store, patience or Patience()) for file in files
    }
    entries = {file: job.stored() for file, job in jobs.items()}
    missing = [file for file, entry in entries.items() if entry is None]
    if missing:
        total = sum(file.size or 0 for file in missing)
        store.require_space(total)
        with progress.task(title, total or None) as task:
            entries |= _fetch_all({file: jobs[file] for file in missing}, task)
    stored = [entry for entry in entries.values() if entry is not None]
    return tuple(sorted(stored, key=lambda entry: entry.path))


def _fetch_all(jobs: dict[RemoteFile, _Download], task: Task) -> dict[RemoteFile, FileEntry]:
    shared = _SharedTask(task)
    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="cloche-download") as pool:
        futures = {file: pool.submit(job.run, shared) for file, job in jobs.items()}
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
            failed = [f for f in futures.values() if f.done() and f.exception() is not None]
        finally:
            shared.stopped.set()
            for job in jobs.values():
                job.cancel()
            pool.shutdown(wait=True, cancel_futures=True)
    for future in failed:
        future.result()
    return {file: future.result() for file, future in futures.items()}


class _SharedTask:
    """A task that several threads advance, and the signal for all of them to stop."""

    def __init__(self, task: Task) -> None:
        self._step = task
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._step.advance(amount)

    def note(self, text: str) -> None:
        with self._lock:
            self._step.note(text)


class _Download:
    """One file."""

    def __init__(
        self, file: RemoteFile, identity: str, server: FileServer, store: Store, patience: Patience
    ) -> None:
        self._file = file
        self._key = f"{server.base}\n{identity}\n{file.path}\n{file.size}"
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
        remembered = self._store.recall(_DIGESTS, self._key)
        if remembered is None or not self._store.use(remembered.decode()):
            return None
        digest = remembered.decode()
        return FileEntry(self._file.path, self._store.blob_path(digest).stat().st_size, digest)

    def run(self, task: _SharedTask) -> FileEntry:
        """Fetch the file, unless another process does so first."""
        waiting = f"{self._file.path}: another process is fetching it"
        with self._store.download(self._key, waiting=lambda: task.note(waiting)) as partial:
            entry = self.stored()
            if entry is None:
                digest = self._arrive(partial, task)
                entry = FileEntry(self._file.path, partial.size, digest)
                self._store.adopt(partial, digest)
                self._store.remember(_DIGESTS, self._key, digest.encode())
        self._show(task, entry.size)
        return entry

    def _arrive(self, partial: Partial, task: _SharedTask) -> str:
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

    def _attempt(self, partial: Partial, task: _SharedTask) -> str:
        tag = self._store.recall(_TAGS, self._key)
        # A complete partial file was never confirmed as whole, so it is fetched again.
        offset = partial.size if tag and partial.size != self._file.size else 0
        headers = {"Range": f"bytes={offset}-", "If-Range": (tag or b"").decode()} if offset else {}
        stall = self._patience.stall
        with self._server.stream(self._file.endpoint, headers, stall) as stream:
            self._connection = stream.connection
            if stream.status == 416:
                partial.begin_at(0)
            _check(stream)
            if stream.status != 206 or not _continues(stream, offset):
                offset = 0
            if offset == 0:
                self._remember_tag(stream)
            self._show(task, offset)
            digest = partial.begin_at(offset)
            self._receive(stream, partial, digest, task)
        self._check_size(partial, stream)
        return f"sha256:{digest.hexdigest()}"

    def _receive(
        self, stream: FileStream, partial: Partial, digest: hashlib._Hash, task: _SharedTask
    ) -> None:
        for block in stream.blocks():
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

    def _check_size(self, partial: Partial, stream: FileStream) -> None:
        """Raise when fewer bytes arrived than the registry lists for the file."""
        if self._file.size is not None and partial.size < self._file.size:
            if int(stream.headers.get("Content-Length", -1)) >= 0:
                raise self._size_error(partial.size)
            raise _AgainError("the answer ended early")

    def _show(self, task: _SharedTask, size: int) -> None:
        task.advance(size - self._shown)
        self._shown = size

    def _size_error(self, size: int) -> ClocheError:
        return ClocheError(
            "source.download.size",
            f"The server sends {size} bytes of {self._file.path}, and the registry lists"
            f" {self._file.size}.",
            where=self._server.base,
            hint="The file was changed or damaged in the registry: log the model again.",
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
