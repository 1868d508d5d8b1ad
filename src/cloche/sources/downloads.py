"""Downloading files of a registry into the store: in parallel, resumable, every wait bounded.

Partial files are kept in the store under a name derived from the file. After a cut connection, an
error or the death of the process a download resumes (`download.py`).
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from cloche.sources.download import Download, Patience, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloche.artifacts import FileEntry
    from cloche.clients.streams import FileServer
    from cloche.progress import Progress, Task
    from cloche.store import Store

__all__ = ["Patience", "RemoteFile", "fetch"]

_TOGETHER = 4


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
    and size are taken to be the same; a file with a digest is its digest. Raises source.download.…
    and store.full; partial files stay.
    """
    jobs = {file: Download(file, identity, server, store, patience or Patience()) for file in files}
    entries = {file: job.stored() for file, job in jobs.items()}
    missing = [file for file, entry in entries.items() if entry is None]
    if missing:
        total = sum(file.size or 0 for file in missing)
        store.require_space(total)
        with progress.task(title, total or None) as task:
            entries |= _fetch_all({file: jobs[file] for file in missing}, task)
    stored = [entry for entry in entries.values() if entry is not None]
    return tuple(sorted(stored, key=lambda entry: entry.path))


def _fetch_all(jobs: dict[RemoteFile, Download], task: Task) -> dict[RemoteFile, FileEntry]:
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
