"""How services, revisions and events stand in the tables, and the sentences that events carry."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cloche import artifacts
from cloche.artifacts import Deployment, Event, Golden, Phase, Revision, Verification
from cloche.state.state import ServiceRecord

if TYPE_CHECKING:
    import sqlite3


def service_of(row: sqlite3.Row) -> ServiceRecord:
    """Read a row of `services`."""
    return ServiceRecord(
        row["name"], row["wanted"], row["live"], json.loads(row["operated"]), bool(row["deleting"])
    )


def revision_of(row: sqlite3.Row) -> Revision:
    """Read a row of `revisions`."""
    golden, verification, failure = row["golden"], row["verification"], row["failure"]
    return Revision(
        service=row["service"],
        number=row["number"],
        digest=row["digest"],
        deployment=_deployment(row["deployment"]),
        created_at=row["created_at"],
        phase=Phase(row["phase"]),
        phase_since=row["phase_since"],
        golden=artifacts.decode(Golden, golden) if golden else None,
        verification=artifacts.decode(Verification, verification) if verification else None,
        failure=json.loads(failure) if failure else None,
    )


def event_of(row: sqlite3.Row) -> Event:
    """Read a row of `events`."""
    return Event(
        row["sequence"],
        row["at"],
        row["service"],
        row["revision"],
        row["kind"],
        row["what"],
        row["by"],
        json.loads(row["detail"]),
    )


@lru_cache(maxsize=512)
def _deployment(text: str) -> Deployment:
    """Read a deployment; it never changes, is the large part of a row, and is read at each tick."""
    return artifacts.decode(Deployment, text)


def text_of(value: object) -> str:
    """Return a value as the JSON text of a column."""
    return artifacts.encode(value).decode()


def said_of_phase(number: int, phase: Phase, failure: dict[str, Any] | None) -> str:
    """Return the sentence for a revision that has come to a phase."""
    if phase is Phase.FAILED:
        return f"Revision {number} failed: {(failure or {}).get('what', 'no reason was recorded')}"
    return f"Revision {number} is {phase.value}."


def said_of_verification(number: int, verification: Verification) -> str:
    """Return the sentence for the outcome of a golden request."""
    if verification.passed:
        took = verification.duration_ms
        return f"Revision {number} answered its golden request rightly in {took:.1f} ms."
    return f"Revision {number} failed its golden request: {verification.detail}"


def said_of_operation(service: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the sentence for another way of operating a service."""
    first, second = before.get("replicas", 1), after.get("replicas", 1)
    if first != second:
        return f"{service} goes from {first} to {second} replicas."
    return f"{service} is operated as {text_of(after)}."
