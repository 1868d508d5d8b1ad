"""The contract of holds: the right to act for a service, which one host at a time has.

Who declares what is wanted needs none: a record changes only from the version that was read.
"""

from __future__ import annotations

from typing import Protocol


class Hold(Protocol):
    """Tells whether this host may act; calls may come from any thread."""

    @property
    def services(self) -> tuple[str, ...] | None:
        """Return the services that this host attends when it may; None for all there are."""

    def held(self, service: str) -> bool:
        """Return whether this host may act for a service now; it does not ask anybody.

        It may have ended when what was decided is done: a write that moves traffic or removes
        something also names the version of what it changes.
        """

    def release(self) -> None:
        """Let another host act at once, where there can be one; it may be called again."""


class AlwaysHeld:
    """Implements `Hold` where a lock already keeps other hosts away, as in a home."""

    services = None

    def held(self, service: str) -> bool:  # noqa: ARG002
        return True

    def release(self) -> None:
        """Leave all as it is: the lock of the home is another one's."""
