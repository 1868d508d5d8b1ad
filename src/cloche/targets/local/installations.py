"""The programs that the local target runs: the server and the gateway, installed in a home."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cloche.store import Cleaned, Usage
from cloche.store.disk import folder_size
from cloche.targets.local.envoy import installation as envoy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cloche.progress import Progress
    from cloche.servers import Server


class LocalInstallations:
    """The installations under `root` (`CLOCHE_HOME/servers`), of this and of other versions."""

    def __init__(self, root: Path, server: Server, known: Iterable[Server]) -> None:
        """Install `server`; find the installations of all `known` kinds of servers."""
        self._root = root
        self._server = server
        self._servers = tuple(known)

    def install(self, progress: Progress, *, server: bool = True) -> None:
        """Install what this version needs, if missing; raises the errors of the installations.

        Without `server` the gateway alone: replicas are containers.
        """
        if server:
            self._server.install(self._root, progress)
        envoy.install(self._root, progress)

    def outdated(self) -> list[Usage]:
        """Return the installations that this version does not use.

        An installation that a process still runs from is marked as kept.
        """
        folders = [folder for server in self._servers for folder in server.outdated(self._root)]
        folders += envoy.outdated(self._root)
        running = _arguments() if folders else set()
        return [
            Usage(
                kind="server",
                digest=None,
                label=folder.name,
                size=folder_size(folder),
                last_used=folder.stat().st_mtime,
                kept=any(argument.startswith(f"{folder}/") for argument in running),
            )
            for folder in folders
        ]

    def clean(self) -> Cleaned:
        """Remove the installations that this version does not use and no process runs from."""
        outdated = self.outdated()
        removed = tuple(installation for installation in outdated if not installation.kept)
        for installation in removed:
            shutil.rmtree(self._root / installation.label, ignore_errors=True)
        freed = sum(installation.size for installation in removed)
        left = sum(installation.size for installation in outdated) - freed
        return Cleaned(freed, left, removed)


def _arguments() -> set[str]:
    """Return the arguments of all processes."""
    import psutil

    lines = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    return {word for line in lines for word in line or ()}
