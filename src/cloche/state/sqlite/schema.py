"""The tables of state and journal, and the migrations from older versions.

`PRAGMA user_version` counts the migrations of a file. A released migration never changes; a further
change is a further migration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.errors import ClocheError
from cloche.state.sqlite import first_version, second_version
from cloche.state.sqlite.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FIRST = (
    """
    CREATE TABLE services (
        name TEXT PRIMARY KEY,
        wanted INTEGER NOT NULL,
        live INTEGER,
        operated TEXT NOT NULL,
        deleting INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE revisions (
        service TEXT NOT NULL,
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        deployment TEXT NOT NULL,
        created_at TEXT NOT NULL,
        phase TEXT NOT NULL,
        phase_since TEXT NOT NULL,
        golden TEXT,
        verification TEXT,
        failure TEXT,
        PRIMARY KEY (service, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE numbers (
        service TEXT PRIMARY KEY,
        last INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        service TEXT NOT NULL,
        revision INTEGER,
        kind TEXT NOT NULL,
        what TEXT NOT NULL,
        by TEXT NOT NULL,
        detail TEXT NOT NULL
    )
    """,
    "CREATE INDEX events_by_service ON events (service, sequence)",
)
_RECORDS = (
    "ALTER TABLE services RENAME TO services_1",
    "ALTER TABLE revisions RENAME TO revisions_1",
    """
    CREATE TABLE services (
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        record TEXT,
        last INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE revisions (
        service TEXT NOT NULL,
        number INTEGER NOT NULL,
        revision TEXT NOT NULL,
        PRIMARY KEY (service, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE attachments (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        service TEXT NOT NULL,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        value TEXT NOT NULL
    )
    """,
    "CREATE INDEX attachments_by_revision ON attachments (service, number, kind, sequence)",
)
"""A service's record is one value with a version; a revision never changes."""


def _first(database: Database) -> None:
    for statement in _FIRST:
        database.run(statement)


def _records(database: Database) -> None:
    for statement in _RECORDS:
        database.run(statement)
    first_version.carry_over(database)
    for table in ("services_1", "revisions_1", "numbers"):
        database.run(f"DROP TABLE {table}")


MIGRATIONS: tuple[Callable[[Database], None], ...] = (
    _first,
    _records,
    second_version.carry_over,
)
"""The n-th migration leads to version n."""


def open_migrated(path: Path, *, copied: bool = False, reserve: Path | None = None) -> Database:
    """Open a file, made if it is missing, with this version's tables.

    With `copied` it is read into memory, migrated there, and never changed. See `Database` for its
    `reserve`.
    """
    database = Database(path, copied=copied, reserve=reserve)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def migrate(database: Database) -> None:
    """Migrate a file to this version's tables, in one transaction.

    Raises `state.newer` for a file of a later Cloche, which this version might misread, and leaves
    the file as it is.
    """
    if _version(database) == len(MIGRATIONS):
        return  # nothing is written: the disk may be full
    with database.transaction():
        version = _version(database)
        if version > len(MIGRATIONS):
            raise ClocheError(
                "state.newer",
                f"The state was written by a later Cloche: its version is {version},"
                f" and this one knows up to {len(MIGRATIONS)}.",
                where=str(database.path),
                hint="Use the later Cloche, or point CLOCHE_HOME to another folder.",
            )
        for migration in MIGRATIONS[version:]:
            migration(database)
        database.run(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(database: Database) -> int:
    row = database.one("PRAGMA user_version")
    return int(row[0]) if row else 0
