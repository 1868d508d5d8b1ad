"""What all revisions of a home share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.home import HomeLayout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloche.targets.local.lifecycle import Policy
    from cloche.targets.local.software import ReplicaServer
    from cloche.targets.local.supervised import Record


@dataclass(frozen=True, slots=True)
class HomeContext:
    """What all revisions of a target share."""

    home: Path
    software: ReplicaServer
    policy: Policy
    drained: Callable[[Record], bool]
    offered: Callable[[Record], bool]
    """Tells whether the gateway sends requests to a replica."""
    changed: Callable[[], None]
    request_limit: float
    """Seconds that a request may take, where its service says nothing else."""

    @property
    def folder(self) -> Path:
        """Return the folder of the revisions' folders."""
        return HomeLayout(self.home).revisions

    @property
    def reserve(self) -> Path:
        """Return the file that is given up for records on a full disk."""
        return HomeLayout(self.home).reserve

    def log(self, name: str) -> Path:
        """Return the log of a server."""
        return HomeLayout(self.home).log(name)
