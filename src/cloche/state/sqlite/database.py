"""One SQLite file: opened durable, shared by threads, its errors translated.

WAL with `synchronous=FULL`: a committed transaction survives a power cut, and a reader never waits
for a writer. Errors of SQLite become a ClocheError:

    state.full        the disk has no room
    state.unwritable  no permission, or a read-only file system
    state.corrupt     the file is damaged, or not a file of Cloche
    state.busy        another process held it for too long (retriable)
    state.failed      any other error of SQLite
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from cloche import files
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
_BUSY_SECONDS = 10.0
FULL = "state.full"


class Database:
    """A connection that several threads share in turns.

    With `copied` it is to a copy of the file in memory: the file and its folder stay as they are.
    `reserve`, a file of `cloche.files.keep_reserve`, is given up when the disk is full.
    """

    def __init__(self, path: Path, *, copied: bool = False, reserve: Path | None = None) -> None:
        self.path = path
        self._reserve = reserve
        self._lock = threading.RLock()
        with self._translating_errors():
            self._connection = _copy(path) if copied else self._open()

    def close(self) -> None:
        """Close the file; no call may follow."""
        with self._lock:
            self._connection.close()

    def run(self, statement: str, *values: object) -> int:
        """Run a statement that changes something; return the row number of an insert."""
        with self._lock, self._translating_errors():
            return self._connection.execute(statement, values).lastrowid or 0

    def all(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock, self._translating_errors():
            return self._connection.execute(query, values).fetchall()

    def one(self, query: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query; None if there are no rows."""
        rows = self.all(query, *values)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of the block together, durably; roll back on an exception."""
        connection = self._connection
        with self._lock, self._translating_errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def change(self, statements: Callable[[], T]) -> T:
        """Run statements in a transaction and return their result; again if the reserve helps."""
        with self._lock:
            try:
                with self.transaction():
                    return statements()
            except ClocheError as error:
                if error.code != FULL or not self._gave_up_reserve():
                    raise
            with self.transaction():
                return statements()

    def _open(self) -> sqlite3.Connection:
        try:
            return _open(self.path)
        except (sqlite3.OperationalError, OSError):  # of several kinds on a full disk
            if not self._gave_up_reserve():
                raise
        return _open(self.path)

    def _gave_up_reserve(self) -> bool:
        """Return whether there was a reserve to be given up."""
        if self._reserve is None or files.has_room(self.path.parent, files.RESERVE):
            return False
        try:
            self._reserve.unlink()
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(error, self.path) from error
        except OSError as error:
            raise _unwritable(self.path, error.strerror or str(error)) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its WAL file the permissions of the database: only its owner can read it. A file
    # that is there is not opened: closing it would drop the locks of this process's connections,
    # and the next process to close its own would take away the WAL file under them.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if not os.access(path, os.W_OK):  # SQLite would open it to be read, and fail at a write
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise _corrupt(path, str(damage))
    except BaseException:
        connection.close()
        raise
    return connection


def _copy(path: Path) -> sqlite3.Connection:
    # Even a reader makes files beside a database with a WAL; one that was closed has none, and is
    # read as a file that nobody changes. So a full disk, or one that is read-only, is read as well.
    wal = path.with_name(path.name + "-wal")
    has_wal = wal.exists()
    how = "mode=ro" if has_wal else "mode=ro&immutable=1"
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        copy.row_factory = sqlite3.Row
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as source:
            source.backup(copy)
    except BaseException:
        copy.close()
        raise
    if not has_wal and wal.exists():  # somebody opened it meanwhile, and may have written
        copy.close()
        return _copy(path)
    return copy


def _translate(error: sqlite3.Error, path: Path) -> ClocheError:
    # The low byte is the primary code; the rest refines it (https://sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        hint = "Free some space, or run `cloche cache clean`, and try again."
        what = "The disk is full: the state cannot be written."
        return ClocheError(FULL, what, where=str(path), hint=hint, retriable=True)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return _unwritable(path, str(error))
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _corrupt(path, str(error))
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        what = f"Another process has held the state for {_BUSY_SECONDS:.0f} seconds."
        return UnavailableError("state.busy", what, where=str(path), hint="Try again.")
    hint = "Check the disk and its free space, and try again."
    return ClocheError("state.failed", f"The state failed: {error}", where=str(path), hint=hint)


def _unwritable(path: Path, why: str) -> ClocheError:
    hint = "Give yourself write permission there, or point CLOCHE_HOME to a folder of your own."
    return ClocheError(
        "state.unwritable", f"Cannot write the state: {why}.", where=str(path), hint=hint
    )


def _corrupt(path: Path, why: str) -> ClocheError:
    hint = (
        "Move the file (and those beside it that end in -wal and -shm) away to begin with an empty"
        " history. What runs is then ended; deploying the models again takes them from the cache."
    )
    what = f"The state is damaged, or not a file of Cloche: {why}."
    return ClocheError("state.corrupt", what, where=str(path), hint=hint)
