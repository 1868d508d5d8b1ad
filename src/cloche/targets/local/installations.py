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
    """What is installed under `root` (`CLOCHE_HOME/servers`), of this version and of others."""

    def __init__(self, root: Path, server: Server, known: Iterable[Server]) -> None:
        """Install `server`, and know the installations of all `known` kinds."""
        self._root = root
        self._server = server
        self._known = tuple(known)

    def install(self, progress: Progress) -> None:
        """Install what is missing of this version; raises ClocheError as the installations do."""
        self._server.install(self._root, progress)
        envoy.install(self._root, progress)

    def outdated(self) -> list[Usage]:
        """Return the installations that this version does not use.

        One that a server still runs from counts as kept.
        """
        folders = [folder for server in self._known for folder in server.outdated(self._root)]
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
        """Remove what this version does not use, but for what a server still runs from."""
        outdated = self.outdated()
        removed = tuple(one for one in outdated if not one.kept)
        for one in removed:
            shutil.rmtree(self._root / one.label, ignore_errors=True)
        freed = sum(one.size for one in removed)
        return Cleaned(freed, sum(one.size for one in outdated) - freed, removed)


def _arguments() -> set[str]:
    """Return the words of the command lines of all processes."""
    import psutil

    lines = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    return {word for line in lines for word in line or ()}
