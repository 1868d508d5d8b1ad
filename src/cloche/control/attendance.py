"""Which services an engine acts for now, and since when.

Another host may act for a service, and end at any time. This one then goes on from the record, as
after a start of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from cloche.state import Hold, State


class Attendance:
    """Asks the hold, and remembers when it came back."""

    def __init__(self, state: State, hold: Hold, begun: datetime) -> None:
        self._state = state
        self._hold = hold
        self._begun = begun
        self._missed: set[str] = set()
        self._regained: dict[str, datetime] = {}

    def may_act(self, service: str) -> bool:
        """Return whether this engine may act for a service now."""
        return self._hold.held(service)

    def services(self, now: datetime) -> tuple[str, ...]:
        """Return the services to attend now."""
        names = self._hold.services
        if names is None:
            names = self._state.services()
        held = tuple(name for name in names if self.may_act(name))
        for name in self._missed.intersection(held):
            self._regained[name] = now
        self._missed = set(names).difference(held)
        return held

    def since(self, service: str) -> datetime:
        """Return since when this engine acts for a service: a time limit begins no earlier."""
        return self._regained.get(service, self._begun)
