"""What the replicas of this machine are: processes of the server's wheel, or containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.artifacts import Runtime
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.servers import Server


@dataclass(frozen=True, slots=True)
class Choice:
    """What the replicas of a revision are, and why."""

    runtime: Runtime
    refused: ClocheError | None = None
    """Why the wheel does not run, if that decides."""


def chosen(asked: Runtime | None, server: Server) -> Choice:
    """Return what a spec asks for, else processes where the wheel runs, else containers."""
    if asked is not None:
        return Choice(asked)
    try:
        server.check_host()
    except ClocheError as error:
        return Choice(Runtime.CONTAINER, error)
    return Choice(Runtime.PROCESS)


def interpreter(server: Server, root: Path, progress: Progress) -> Path | None:
    """Return the Python of the server's wheel, installed under `root`; None where none runs."""
    if chosen(None, server).runtime is Runtime.CONTAINER:
        return None
    return server.install(root, progress).interpreter
