"""The state in one SQLite file; `database` makes it durable and safe for threads.

A service's version counts its writes. The row of a deleted service stays, without its record, so
that the numbers of its revisions are not given again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.artifacts import Attached, Revision, ServiceRecord, Verification
from cloche.refusals import stale_number, stale_record, unknown_revision
from cloche.state.sqlite import schema
from cloche.state.state import Stored

if TYPE_CHECKING:
    from pathlib import Path

_MOST_ATTACHED = 50
"""Attachments of one kind kept per revision."""


class SqliteState:
    """Implements `cloche.state.State`; `database` lists the errors of the file.

    With `copied` it is what the file has now, and the file stays as it is. `reserve` is a file that
    is given up for it on a full disk.
    """

    def __init__(self, path: Path, *, copied: bool = False, reserve: Path | None = None) -> None:
        self._database = schema.open_migrated(path, copied=copied, reserve=reserve)

    def close(self) -> None:
        self._database.close()

    # ── services ──────────────────────────────────────────────────────────────────────────────

    def services(self) -> tuple[str, ...]:
        rows = self._database.all("SELECT name FROM services WHERE record NOT NULL ORDER BY name")
        return tuple(row["name"] for row in rows)

    def lost(self) -> tuple[str, ...]:
        return ()

    def service(self, name: str) -> Stored | None:
        row = self._database.one("SELECT record, version FROM services WHERE name = ?", name)
        if row is None or row["record"] is None:
            return None
        return Stored(_record(row["record"]), str(row["version"]))

    def put(self, record: ServiceRecord, *, expect: str | None) -> str:
        def write() -> str:
            version = self._require_version(record.name, expect) + 1
            self._database.run(
                "INSERT INTO services (name, version, record, last) VALUES (?, ?, ?, 0)"
                " ON CONFLICT (name) DO UPDATE SET version = excluded.version,"
                " record = excluded.record",
                *(record.name, version, _text(record)),
            )
            return str(version)

        return self._database.change(write)

    def delete(self, name: str, *, expect: str) -> None:
        def write() -> None:
            version = self._require_version(name, expect) + 1
            self._database.run("DELETE FROM attachments WHERE service = ?", name)
            self._database.run("DELETE FROM revisions WHERE service = ?", name)
            self._database.run(
                "UPDATE services SET version = ?, record = NULL WHERE name = ?", version, name
            )

        self._database.change(write)

    def last_number(self, name: str) -> int:
        row = self._database.one("SELECT last FROM services WHERE name = ?", name)
        return int(row["last"]) if row else 0

    # ── revisions ─────────────────────────────────────────────────────────────────────────────

    def add_revision(self, revision: Revision) -> None:
        service, number = revision.service, revision.number

        def write() -> None:
            if number <= self.last_number(service):
                raise stale_number(service, number)
            self._database.run(
                "INSERT INTO services (name, version, record, last) VALUES (?, 0, NULL, ?)"
                " ON CONFLICT (name) DO UPDATE SET last = excluded.last",
                *(service, number),
            )
            self._database.run(
                "INSERT INTO revisions (service, number, revision) VALUES (?, ?, ?)",
                *(service, number, _text(revision)),
            )

        self._database.change(write)

    def revisions(self, service: str) -> tuple[Revision, ...]:
        query = "SELECT revision FROM revisions WHERE service = ? ORDER BY number"
        return tuple(_revision(row["revision"]) for row in self._database.all(query, service))

    def revision(self, service: str, number: int) -> Revision | None:
        query = "SELECT revision FROM revisions WHERE service = ? AND number = ?"
        row = self._database.one(query, service, number)
        return _revision(row["revision"]) if row else None

    def attach(self, service: str, number: int, value: Verification) -> None:
        of = (service, number, "verification")

        def write() -> None:
            if self.revision(service, number) is None:
                raise unknown_revision(service, number)
            self._database.run(
                "INSERT INTO attachments (service, number, kind, value) VALUES (?, ?, ?, ?)",
                *(*of, _text(value)),
            )
            self._database.run(
                "DELETE FROM attachments WHERE service = ? AND number = ? AND kind = ? AND sequence"
                " <= (SELECT sequence FROM attachments WHERE service = ? AND number = ?"
                " AND kind = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
                *(*of, *of, _MOST_ATTACHED),
            )

        self._database.change(write)

    def attached(self, service: str, number: int) -> Attached:
        rows = self._database.all(
            "SELECT kind, value, max(sequence) FROM attachments"
            " WHERE service = ? AND number = ? GROUP BY kind",
            *(service, number),
        )
        latest = {row["kind"]: row["value"] for row in rows}
        verification = latest.get("verification")
        return Attached(artifacts.decode(Verification, verification) if verification else None)

    def _require_version(self, name: str, expect: str | None) -> int:
        """Return a service's version; raises StaleError if it is not the expected one."""
        row = self._database.one("SELECT version, record FROM services WHERE name = ?", name)
        exists = row is not None and row["record"] is not None
        version = int(row["version"]) if row is not None else 0
        if (str(version) if exists else None) != expect:
            raise stale_record(name)
        return version


@lru_cache(maxsize=512)
def _record(text: str) -> ServiceRecord:
    """Return a record, cached: it is read at each tick and seldom changes."""
    return artifacts.decode(ServiceRecord, text)


@lru_cache(maxsize=512)
def _revision(text: str) -> Revision:
    """Return a revision, cached: it is large, never changes, and is read at each tick."""
    return artifacts.decode(Revision, text)


def _text(value: object) -> str:
    return artifacts.encode(value).decode()
