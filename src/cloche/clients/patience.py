"""How long a server is waited for, and how often it is asked again."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloche.errors import ClocheError


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits in seconds."""

    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    """Before each new attempt after a failure; a little is added by chance."""
    longest: float = 120.0
    """The longest pause that a server may ask for with Retry-After."""
    stall: float = 60.0
    """Without a byte."""


class AgainError(Exception):
    """A request failed in a way that another attempt may mend; `error` tells the user."""

    def __init__(
        self, error: ClocheError, *, pause: float | None = None, most: int | None = None
    ) -> None:
        super().__init__(error.what)
        self.error = error
        self.pause = pause
        """Seconds that the server asks to wait."""
        self.most = most
        """The most attempts that can help; None for as many as patience has."""


class Stop:
    """Ends what other threads do with a server, also while they wait."""

    def __init__(self, error: Callable[[], ClocheError]) -> None:
        self._error = error
        self._event = threading.Event()

    @property
    def is_set(self) -> bool:
        """Return whether all is to end."""
        return self._event.is_set()

    def set(self) -> None:
        """Have all end at their next step."""
        self._event.set()

    def check(self, pause: float = 0.0) -> None:
        """Wait for so many seconds; raises its error once it is set."""
        if self._event.wait(pause):
            raise self._error()


class Attempts:
    """Failures in a row: each is waited after, until there are too many."""

    def __init__(self, patience: Patience, stop: Stop) -> None:
        self._patience, self._stop = patience, stop
        self.failures = 0

    def reset(self) -> None:
        """Begin anew, since something was reached."""
        self.failures = 0

    def failed(self, again: AgainError) -> None:
        """Wait for the next attempt, or raise the error to tell the user."""
        self._stop.check(self.pause(again))

    def pause(self, again: AgainError) -> float:
        """Return the seconds to wait before the next attempt, or raise the error."""
        pauses = self._patience.pauses[: again.most]
        if self.failures >= len(pauses):
            raise again.error from again
        pause = again.pause
        if pause is None:
            pause = pauses[self.failures] * random.uniform(1, 1.3)  # noqa: S311
        elif pause > self._patience.longest:
            raise again.error from again
        self.failures += 1
        return pause


def retry_after(header: str) -> float | None:
    """Return the seconds that Retry-After asks for: a number, or a date of HTTP."""
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.now(UTC)
    return max(0.0, ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds())
