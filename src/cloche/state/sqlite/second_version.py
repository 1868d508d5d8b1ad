"""Converts the golden requests and outcomes of the second version.

Until then one word, `kind`, said where a golden request came from and what judged its answer, and
the golden request was attached to its revision. Now it is a part of the revision's deployment.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloche.state.sqlite.database import Database

Json = dict[str, Any]

_KINDS = {
    "example": ("stored", "reference"),
    "generated": ("made", "reference"),
    "smoke": ("made", "smoke"),
}
"""By the former kind: the request's origin, and the judge of its answer."""


def carry_over(database: Database) -> None:
    """Rewrite records, revisions and attachments that the second version wrote."""
    for row in database.all("SELECT name, record FROM services WHERE record NOT NULL"):
        record = json.loads(row["record"])
        for rollout in record.get("rollouts", ()):
            rollout["verification"] = verification(rollout.get("verification"))
        database.run("UPDATE services SET record = ? WHERE name = ?", _text(record), row["name"])
    for row in database.all("SELECT service, number, revision FROM revisions"):
        of = (row["service"], row["number"])
        revision = json.loads(row["revision"])
        revision["deployment"].setdefault("golden", golden(_attached(database, *of)))
        query = "UPDATE revisions SET revision = ? WHERE service = ? AND number = ?"
        database.run(query, _text(revision), *of)
    database.run("DELETE FROM attachments WHERE kind = 'golden'")
    for row in database.all("SELECT sequence, value FROM attachments WHERE kind = 'verification'"):
        value = verification(json.loads(row["value"]))
        query = "UPDATE attachments SET value = ? WHERE sequence = ?"
        database.run(query, _text(value), row["sequence"])


def golden(former: Json | None) -> Json | None:
    """Return a golden request in the third version's form."""
    if former is None or "kind" not in former:
        return former
    origin, judge = _KINDS[former["kind"]]
    return {
        "origin": origin,
        "judge": judge,
        "requests": [former["request"]],
        "expected": former.get("expected"),
    }


def verification(former: Json | None) -> Json | None:
    """Return an outcome in the third version's form."""
    if former is None or "kind" not in former:
        return former
    rest = {key: value for key, value in former.items() if key != "kind"}
    origin, judge = _KINDS[former["kind"]]
    return {**rest, "origin": origin, "judge": judge}


def _attached(database: Database, service: str, number: int) -> Json | None:
    row = database.one(
        "SELECT value FROM attachments WHERE service = ? AND number = ? AND kind = 'golden'"
        " ORDER BY sequence DESC LIMIT 1",
        *(service, number),
    )
    return json.loads(row["value"]) if row is not None else None


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
