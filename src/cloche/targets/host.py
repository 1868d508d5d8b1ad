"""The contract of a host: what keeps the servers of a place on this machine running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloche.targets.target import Replica


class Host(Protocol):
    """Keeps the servers of a place on this machine running: the other half of a local target."""

    def start(self, services: tuple[str, ...]) -> None:
        """Take over what runs in this place and begin to keep it running.

        `services` has all declared services: replicas of any other are ended. This is the first
        call, except for `replicas`, `gateway` and `down`.
        """

    def replicas(self) -> tuple[Replica, ...]:
        """Return all replicas of this place; before `start`, those that `start` would take over."""

    def close(self) -> None:
        """Stop keeping the servers; they run on."""

    def down(self) -> None:
        """Drain and stop everything in this place, the gateway last; works without `start`."""
