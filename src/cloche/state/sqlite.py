"""The state in one SQLite file, which `database` keeps durable and safe for threads.

The state's own refusals are `service.unknown`, `revision.unknown`, `service.deleting` and
`state.superseded`; those of the file are listed in `database` and `schema`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cloche.artifacts import Deployment, Event, Golden, Phase, Revision, Verification
from cloche.errors import SupersededError
from cloche.refusals import being_deleted, unknown_revision, unknown_service
from cloche.state import rows, schema
from cloche.state.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.state.state import ServiceRecord


class SqliteState:
    """State in a file; see `cloche.state.state.State` for what each call promises.

    Of each service the latest `most_events` events are kept.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        most_events: int = 5000,
    ) -> None:
        self._clock = clock
        self._most_events = most_events
        self._database = Database(path)
        try:
            schema.migrate(self._database)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._database.close()

    # ── services ──────────────────────────────────────────────────────────────────────────────

    def services(self) -> tuple[ServiceRecord, ...]:
        found = self._database.all("SELECT * FROM services ORDER BY name")
        return tuple(rows.service_of(row) for row in found)

    def service(self, name: str) -> ServiceRecord | None:
        row = self._database.one("SELECT * FROM services WHERE name = ?", name)
        return rows.service_of(row) if row else None

    def operate(self, service: str, operated: dict[str, Any], *, by: str) -> ServiceRecord:
        with self._database.transaction():
            before = self._known(service).operated
            text = rows.text_of(operated)
            self._database.run("UPDATE services SET operated = ? WHERE name = ?", text, service)
            what = rows.said_of_operation(service, before, operated)
            detail = {"before": before, "operated": operated}
            self._append(service, None, "scaled", what, by=by, detail=detail)
            return self._known(service)

    def want(self, service: str, number: int, *, by: str) -> ServiceRecord:
        with self._database.transaction():
            self._supersede(service, self._known(service).wanted, by)
            self._database.run("UPDATE services SET wanted = ? WHERE name = ?", number, service)
            what = f"Revision {number} was asked for again."
            self._append(service, number, "deployed", what, by=by, detail={})
            return self._known(service)

    def mark_deleting(self, service: str, *, by: str) -> None:
        with self._database.transaction():
            record = self._known(service)
            if record.deleting:
                return
            self._supersede(service, record.wanted, by)
            self._database.run("UPDATE services SET deleting = 1 WHERE name = ?", service)
            what = f"{service} is being deleted."
            self._append(service, None, "deleting", what, by=by, detail={})

    def forget(self, service: str) -> None:
        with self._database.transaction():
            if self.service(service) is None:
                return
            self._database.run("DELETE FROM revisions WHERE service = ?", service)
            self._database.run("DELETE FROM services WHERE name = ?", service)
            what = f"{service} is deleted."
            self._append(service, None, "deleted", what, by="cloche", detail={})

    # ── revisions ─────────────────────────────────────────────────────────────────────────────

    def deploy(self, deployment: Deployment, digest: str) -> Revision:
        service = deployment.service
        with self._database.transaction():
            before = self.service(service)
            if before is not None:
                if before.deleting:
                    raise being_deleted(service)
                self._supersede(service, before.wanted, deployment.by)
            number = self._next_number(service)
            now = self._now()
            values = (service, number, digest, rows.text_of(deployment), now, Phase.PENDING, now)
            self._database.run(
                "INSERT INTO revisions (service, number, digest, deployment, created_at, phase,"
                " phase_since) VALUES (?, ?, ?, ?, ?, ?, ?)",
                *values,
            )
            self._database.run(
                "INSERT INTO services (name, wanted, operated) VALUES (?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET wanted = excluded.wanted, operated = excluded.operated",
                *(service, number, rows.text_of(deployment.operated)),
            )
            what = f"Revision {number} was asked for: {deployment.snapshot.reference}"
            detail = {"digest": digest, "model": deployment.snapshot.digest}
            self._append(service, number, "deployed", what, by=deployment.by, detail=detail)
            return self._existing(service, number)

    def revisions(self, service: str) -> tuple[Revision, ...]:
        query = "SELECT * FROM revisions WHERE service = ? ORDER BY number"
        return tuple(rows.revision_of(row) for row in self._database.all(query, service))

    def revision(self, service: str, number: int) -> Revision | None:
        query = "SELECT * FROM revisions WHERE service = ? AND number = ?"
        row = self._database.one(query, service, number)
        return rows.revision_of(row) if row else None

    def attach(
        self,
        service: str,
        number: int,
        *,
        phase: Phase | None = None,
        golden: Golden | None = None,
        verification: Verification | None = None,
        failure: dict[str, Any] | None = None,
        by: str = "cloche",
    ) -> Revision:
        with self._database.transaction():
            revision = self._existing(service, number)
            if golden is not None and golden != revision.golden:
                self._set(revision, "golden", rows.text_of(golden))
                what = f"Revision {number} has a golden request ({golden.kind.value})."
                self._append(
                    service, number, "golden", what, by=by, detail={"kind": golden.kind.value}
                )
            if verification is not None:
                self._set(revision, "verification", rows.text_of(verification))
                what = rows.said_of_verification(number, verification)
                detail = {"passed": verification.passed, "url": verification.url}
                self._append(service, number, "verified", what, by=by, detail=detail)
            if phase is not None and _may_become(revision.phase, phase):
                self._enter(revision, phase, by, failure)
            return self._existing(service, number)

    def set_live(self, service: str, number: int) -> None:
        with self._database.transaction():
            revision, record = self._existing(service, number), self._known(service)
            if record.live == number:
                return
            if revision.phase.ended or record.wanted != number:
                what = f"Revision {number} of {service} is {revision.phase.value}, not to go live."
                raise SupersededError("state.superseded", what, where=service)
            if record.live is not None:
                self._enter(self._existing(service, record.live), Phase.RETIRED, "cloche")
            self._enter(revision, Phase.LIVE, "cloche")
            self._database.run("UPDATE services SET live = ? WHERE name = ?", number, service)

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def record(self, service: str, kind: str, what: str, **detail: Any) -> Event:
        by, revision = detail.pop("by", "cloche"), detail.pop("revision", None)
        with self._database.transaction():
            return self._append(service, revision, kind, what, by=by, detail=detail)

    def events(
        self, service: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        everyone = "SELECT * FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
        one = "SELECT * FROM events WHERE service = ? AND sequence > ? ORDER BY sequence LIMIT ?"
        found = (
            self._database.all(everyone, after, limit)
            if service is None
            else self._database.all(one, service, after, limit)
        )
        return tuple(rows.event_of(row) for row in found)

    # ── inside a transaction ──────────────────────────────────────────────────────────────────

    def _supersede(self, service: str, number: int, by: str) -> None:
        revision = self._existing(service, number)
        if not revision.phase.ended:
            self._enter(revision, Phase.SUPERSEDED, by)

    def _enter(
        self, revision: Revision, phase: Phase, by: str, failure: dict[str, Any] | None = None
    ) -> None:
        number = revision.number
        self._set(revision, "phase", phase)
        self._set(revision, "phase_since", self._now())
        if failure is not None:
            self._set(revision, "failure", rows.text_of(failure))
        what = rows.said_of_phase(number, phase, failure)
        detail = {"phase": phase.value, "before": revision.phase.value}
        self._append(revision.service, number, "phase", what, by=by, detail=detail)

    def _set(self, revision: Revision, column: str, value: str) -> None:
        self._database.run(
            f"UPDATE revisions SET {column} = ? WHERE service = ? AND number = ?",  # noqa: S608
            *(value, revision.service, revision.number),
        )

    def _next_number(self, service: str) -> int:
        """Count on from the last number that the name ever had, also before it was deleted."""
        self._database.run(
            "INSERT INTO numbers (service, last) VALUES (?, 1)"
            " ON CONFLICT (service) DO UPDATE SET last = last + 1",
            service,
        )
        row = self._database.one("SELECT last FROM numbers WHERE service = ?", service)
        return int(row["last"]) if row else 1

    def _append(
        self,
        service: str,
        revision: int | None,
        kind: str,
        what: str,
        *,
        by: str,
        detail: dict[str, Any],
    ) -> Event:
        at = self._now()
        sequence = self._database.run(
            "INSERT INTO events (at, service, revision, kind, what, by, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(at, service, revision, kind, what, by, rows.text_of(detail)),
        )
        self._database.run(
            "DELETE FROM events WHERE service = ? AND sequence <= (SELECT sequence FROM events"
            " WHERE service = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
            *(service, service, self._most_events),
        )
        return Event(sequence, at, service, revision, kind, what, by, detail)

    def _known(self, service: str) -> ServiceRecord:
        record = self.service(service)
        if record is None:
            raise unknown_service(service)
        return record

    def _now(self) -> str:
        return self._clock().isoformat(timespec="milliseconds")

    def _existing(self, service: str, number: int) -> Revision:
        revision = self.revision(service, number)
        if revision is None:
            raise unknown_revision(service, number)
        return revision


def _may_become(before: Phase, after: Phase) -> bool:
    if after in {before, Phase.LIVE}:
        return False
    return not before.ended or (before is Phase.LIVE and after is Phase.RETIRED)
