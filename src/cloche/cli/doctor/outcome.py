"""What one check found."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    """It works for now, or not for every model."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the report; `hint` says what to do, where there is something to do."""

    name: str
    state: State
    what: str
    hint: str | None = None
    where: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Return the object that `--json` carries."""
        return {
            "name": self.name, "state": str(self.state), "what": self.what, "hint": self.hint,
            "where": self.where,
        }  # fmt: skip
