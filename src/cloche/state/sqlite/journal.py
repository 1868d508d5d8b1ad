"""The journal in the SQLite file of the state; a cursor is the number of a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cloche import artifacts, files
from cloche.artifacts import Event, EventKind
from cloche.errors import ClocheError, UsageError
from cloche.state.sqlite import schema
from cloche.state.sqlite.database import FULL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path


class SqliteJournal:
    """Implements `cloche.state.Journal`; keeps the latest `most_events` events per service.

    With `copied` it is what the file has now, and the file stays as it is.
    """

    def __init__(self, path: Path, *, most_events: int = 5000, copied: bool = False) -> None:
        self._most_events = most_events
        self._database = schema.open_migrated(path, copied=copied)

    def close(self) -> None:
        self._database.close()

    def append(self, events: Iterable[Event]) -> None:
        # What a reserve has freed is for records.
        if files.has_room(self._database.path.parent, files.RESERVE):
            try:
                self._append(events)
            except ClocheError as error:
                if error.code != FULL:
                    raise

    def _append(self, events: Iterable[Event]) -> None:
        with self._database.transaction():
            for event in events:
                self._database.run(
                    "INSERT INTO events (at, service, revision, kind, what, by, detail)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *(event.at, event.service, event.revision, event.kind, event.what, event.by),
                    artifacts.encode(event.detail).decode(),
                )
                self._database.run(
                    "DELETE FROM events WHERE service = ? AND sequence <= (SELECT sequence FROM"
                    " events WHERE service = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
                    *(event.service, event.service, self._most_events),
                )

    def read(
        self, service: str | None = None, *, after: str = "", limit: int = 1000
    ) -> tuple[Event, ...]:
        if after and not after.isdecimal():
            hint = "Give the cursor of an event, or leave it out to read from the beginning."
            raise UsageError("events.cursor", f"{after!r} is not a cursor.", hint=hint)
        sequence = int(after or 0)
        of_all = "SELECT * FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
        of_one = "SELECT * FROM events WHERE service = ? AND sequence > ? ORDER BY sequence LIMIT ?"
        rows = (
            self._database.all(of_all, sequence, limit)
            if service is None
            else self._database.all(of_one, service, sequence, limit)
        )
        return tuple(_event(row) for row in rows)


def _event(row: sqlite3.Row) -> Event:
    return Event(
        at=row["at"],
        service=row["service"],
        revision=row["revision"],
        kind=EventKind(row["kind"]),
        what=row["what"],
        by=row["by"],
        detail=json.loads(row["detail"]),
        cursor=str(row["sequence"]),
    )
