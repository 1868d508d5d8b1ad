"""What a sandbox leaves to a program, and the command that puts it on."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES, NETWORK, SOCKETS = "files", "network", "sockets"
"""What can be closed; sockets are those of services and agents of the user."""
_ENTER = Path(__file__).with_name("enter.py")


@dataclass(frozen=True, slots=True)
class Walls:
    """What a program may do; paths are absolute."""

    read: tuple[str, ...] = ()
    """What it may read and execute, and all beneath."""
    write: tuple[str, ...] = ()
    """What it may also change, and all beneath; devices and shared memory beside it."""
    files: bool = True
    """Whether all other files are closed to it."""
    network: bool = True
    """Whether it keeps the network."""
    hide: Mapping[str, str | None] = field(default_factory=dict)
    """Folders and sockets that it does not find, where namespaces of mounts can be made; in the
    place of a folder is another one, or an empty one, and in it what it may read or write."""
    instead: Mapping[str, bool] = field(default_factory=dict)
    """Where it makes folders where nothing can be hidden, and whether also files in them."""
    start: str | None = None
    """The folder that it starts in; None for that of its parent."""
    needs: tuple[str, ...] = ()
    """What has to be closed: else it does not start."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Limits by their names in `resource`."""
    mask: int | None = None
    """The mode that files which it makes do not get (umask(2)); None for that of its parent."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables that are for it alone, not for what puts the sandbox on."""
    open: str | None = None
    """The file that is told what the kernel could not close."""

    def around(self, *command: str) -> tuple[str, ...]:
        """Return the command that puts these walls on and becomes another command."""
        walls = json.dumps(asdict(self))
        return (sys.executable, "-I", "-S", str(_ENTER), walls, *command)
