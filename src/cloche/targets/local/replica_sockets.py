"""Unix sockets on which replicas listen, so that no other user of the machine reaches them."""

from __future__ import annotations

import shutil
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from cloche.targets.local import socket_folder, socket_peers

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.targets.local.processes import Marker

NAME = "s"
"""What the names of sockets begin with, in a folder of their own."""
_LONGEST_NAME = 32


class ReplicaSockets:
    """The sockets of the replicas of one home."""

    def __init__(self, folder: Path) -> None:
        self._folder = socket_folder.place(folder, _LONGEST_NAME)

    @classmethod
    def usable(cls, folder: Path) -> Self | None:
        """Return the sockets in a folder; None if this kernel does not tell who is connected.

        Without that nobody knows when a replica has had its last request.
        """
        return cls(folder) if socket_peers.are_known() else None

    def make(self, marker: Marker) -> Path:
        """Make the folder of the sockets of one start of a replica, which it alone changes."""
        socket_folder.make(self._folder)
        own = self._folder / f"{_mark(marker.name)}-{marker.run[:8]}"
        own.mkdir(mode=0o700, exist_ok=True)
        return own

    def remove(self, replica: str) -> None:
        """Remove the sockets of a replica; all its processes must have ended."""
        for folder in self._folder.glob(f"{_mark(replica)}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def remove_all(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _mark(replica: str) -> str:
    """Return a short mark of a replica: a path of a socket has no room for its name."""
    return sha256(replica.encode()).hexdigest()[:12]
