"""Converts the tables of the first version to records and revisions.

In the first version a revision had a phase, and a service had the number of the wanted revision.
Each of those revisions becomes a revision and one rollout.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloche import artifacts
from cloche.artifacts import (
    Cause,
    Deployment,
    Golden,
    InferenceBody,
    Lock,
    Member,
    ModelFacts,
    ModelRepository,
    ModelSnapshot,
    Operated,
    Outcome,
    Phase,
    ReplicaRange,
    Revision,
    Rollout,
    Served,
    ServiceRecord,
    Verification,
)
from cloche.state.sqlite import second_version

if TYPE_CHECKING:
    import sqlite3

    from cloche.state.sqlite.database import Database

_OUTCOMES = {
    "live": Outcome.COMPLETED,
    "retired": Outcome.COMPLETED,
    "failed": Outcome.FAILED,
    "superseded": Outcome.SUPERSEDED,
}


def carry_over(database: Database) -> None:
    """Fill the tables of this version from `services_1`, `revisions_1` and `numbers`."""
    for service in database.all("SELECT * FROM services_1"):
        name = service["name"]
        rows = database.all("SELECT * FROM revisions_1 WHERE service = ? ORDER BY number", name)
        for row in rows:
            _keep_revision(database, row)
        record = ServiceRecord(
            name=name,
            operated=_read_operated(json.loads(service["operated"])),
            live=service["live"],
            rollouts=_rollouts(rows),
            deleting=bool(service["deleting"]),
        )
        database.run(
            "INSERT INTO services (name, version, record, last) VALUES (?, 1, ?, 0)",
            *(name, _text(record)),
        )
    for number in database.all("SELECT service, last FROM numbers"):
        database.run(
            "INSERT INTO services (name, version, record, last) VALUES (?, 0, NULL, ?)"
            " ON CONFLICT (name) DO UPDATE SET last = excluded.last",
            *(number["service"], number["last"]),
        )


def _keep_revision(database: Database, row: sqlite3.Row) -> None:
    recorded = json.loads(row["deployment"])
    deployment = replace(_read_deployment(recorded), golden=_read_golden(row["golden"]))
    revision = Revision(
        service=row["service"],
        number=row["number"],
        digest=deployment.digest,
        deployment=deployment,
        created_at=row["created_at"],
        by=recorded.get("by", ""),
    )
    of = (revision.service, revision.number)
    database.run("INSERT INTO revisions VALUES (?, ?, ?)", *of, _text(revision))
    if row["verification"]:
        outcome = second_version.verification(json.loads(row["verification"]))
        database.run(
            "INSERT INTO attachments (service, number, kind, value) VALUES (?, ?, ?, ?)",
            *(*of, "verification", json.dumps(outcome)),
        )


def _rollouts(rows: list[sqlite3.Row]) -> tuple[Rollout, ...]:
    rollouts: list[Rollout] = []
    live: int | None = None
    for row in rows:
        outcome = _OUTCOMES.get(row["phase"])
        text = row["verification"]
        rollouts.append(
            Rollout(
                to=row["number"],
                previous=live,
                cause=Cause.DEPLOY,
                by=json.loads(row["deployment"]).get("by", ""),
                started_at=row["created_at"],
                phase=Phase.ENDED if outcome else Phase(row["phase"]),
                since=row["phase_since"],
                step=1 if row["phase"] in {"shifting", "live", "retired"} else 0,
                weight=100 if row["phase"] in {"shifting", "live", "retired"} else 0,
                verification=_read_verification(text),
                outcome=outcome,
                ended_at=row["phase_since"] if outcome else None,
                failure=json.loads(row["failure"]) if row["failure"] else None,
            )
        )
        live = row["number"] if outcome is Outcome.COMPLETED else live
    return tuple(rollouts)


def _read_golden(text: str | None) -> Golden | None:
    former = json.loads(text) if text else None
    return artifacts.convert(Golden, second_version.golden(former)) if former else None


def _read_verification(text: str | None) -> Verification | None:
    former = json.loads(text) if text else None
    if former is None:
        return None
    return artifacts.convert(Verification, second_version.verification(former))


def _read_deployment(recorded: dict[str, Any]) -> Deployment:
    repository = _read_repository(recorded["repository"])
    lock, example = recorded.get("lock"), recorded.get("example")
    member = Member(
        name=repository.main.name,
        snapshot=artifacts.convert(ModelSnapshot, recorded["snapshot"]),
        facts=artifacts.convert(ModelFacts, recorded["facts"]),
        lock=artifacts.convert(Lock, lock) if lock else None,
    )
    return Deployment(
        service=recorded["service"],
        members=(member,),
        repository=repository,
        served=_read_served(recorded["served"]),
        operated=_read_operated(recorded["operated"]),
        example=artifacts.convert(InferenceBody, example) if example else None,
    )


def _read_repository(recorded: dict[str, Any]) -> ModelRepository:
    """Return a repository; the first version had the fields of its one member in it."""
    name, *others = recorded["models"]
    of_member = ("backend", "inputs", "outputs", "max_batch_size", "lock_digest")
    member = {"name": name, **{key: recorded[key] for key in of_member if key in recorded}}
    rest = {key: value for key, value in recorded.items() if key not in {*of_member, "models"}}
    return artifacts.convert(ModelRepository, {**rest, "members": [member], "others": others})


def _read_served(written: dict[str, Any]) -> Served:
    from cloche.spec import ServiceSpec

    return ServiceSpec.model_validate({"model": "recorded", **written}).served()


def _read_operated(written: dict[str, Any]) -> Operated:
    replicas = written.get("replicas")
    return Operated(replicas=ReplicaRange.exactly(replicas) if replicas else None)


def _text(value: object) -> str:
    return artifacts.encode(value).decode()
