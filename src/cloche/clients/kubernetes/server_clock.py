"""The time at the API server, as its answers tell it: nothing there is compared with our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_UNIT = timedelta(seconds=1)
"""An answer tells the second in which it was made."""


class ServerClock:
    """Tells the time there; until the first answer that of this machine."""

    def __init__(self, local: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._local = local
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the time at the API server, to a second."""
        return self._local() + self._ahead

    def note(self, date: str) -> None:
        """Learn from the Date header of an answer that has just arrived.

        What is known stays while it agrees, so that the time does not jump within a second.
        """
        try:
            began = parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            return
        if not began - _UNIT <= self.now() <= began + 2 * _UNIT:
            self._ahead = began + _UNIT / 2 - self._local()
