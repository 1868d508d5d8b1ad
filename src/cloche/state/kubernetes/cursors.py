"""Cursors of the journal on a cluster: the last event read of each service, as one word."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Self

from cloche import artifacts
from cloche.errors import UsageError

_MARK = "k1."
_UID = 8


@dataclass(frozen=True, slots=True)
class Position:
    """How far the events of a service were read."""

    number: int
    uid: str
    """The beginning of what tells its ConfigMap from one of the same name: of a service that was
    deleted and made again, the numbers begin again."""

    @classmethod
    def of(cls, number: int, uid: str) -> Self:
        """Return the position of an event in the ConfigMap with a uid."""
        return cls(number, uid[:_UID])

    def before(self, number: int, uid: str) -> bool:
        """Return whether an event was not read."""
        return uid[:_UID] != self.uid or number > self.number


def encode(positions: dict[str, Position]) -> str:
    """Return the cursor of some positions."""
    pairs = {service: (each.number, each.uid) for service, each in positions.items()}
    return _MARK + urlsafe_b64encode(artifacts.encode(pairs)).decode().rstrip("=")


def decode(cursor: str) -> dict[str, Position]:
    """Return the positions of a cursor; raises UsageError `events.cursor` for what is none."""
    if not cursor:
        return {}
    word = cursor.removeprefix(_MARK)
    try:
        if word == cursor:
            raise ValueError("it has no mark")
        data = urlsafe_b64decode(word + "=" * (-len(word) % 4))
        pairs = artifacts.decode(dict[str, tuple[int, str]], data)
    except ValueError as error:
        hint = "Give the cursor of an event, or leave it out to read from the beginning."
        raise UsageError("events.cursor", f"{cursor!r} is not a cursor.", hint=hint) from error
    return {service: Position(number, uid) for service, (number, uid) in pairs.items()}
