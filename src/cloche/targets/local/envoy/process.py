"""One of the Envoy processes that share the gateway's port and its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cloche.targets.local import socket_folder
from cloche.targets.local.envoy import steering, xds
from cloche.targets.local.envoy.admin import Admin, socket_path
from cloche.targets.local.envoy.bootstrap import bootstrap
from cloche.targets.local.envoy.refusals import EnvoyLog

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.settings import Settings


NAME = "gateway"
"""The name of the first process; the others are `gateway-2` and so on."""


class EnvoyProcess:
    """A process of a gateway, which its caller starts: its own file, admin socket and log."""

    def __init__(self, name: str, folder: Path, settings: Settings, log: Path) -> None:
        self.name = name
        suffix = name.removeprefix(NAME)
        self._folder = folder
        self._settings = settings
        self._file = folder / f"bootstrap{suffix}.json"
        self._socket = socket_path(folder, f"admin{suffix}.sock")
        self.admin = Admin(self._socket)
        self.log = EnvoyLog(log)

    def prepare(self) -> None:
        """Write the file that it starts from."""
        socket_folder.make(self._socket.parent)
        document = bootstrap(self._folder, self._socket)
        data = json.dumps(document, indent=1).encode()
        xds.replace(self._file, data, reserve=self._settings.layout.reserve)

    def command(self, binary: Path) -> tuple[list[str], dict[str, str]]:
        """Return the arguments and the environment of the process to start.

        The environment is complete and has nothing of the user's. SIGTERM ends Envoy at once, so it
        is ended only when its replicas have no requests left.
        """
        arguments = [
            str(binary),
            "--config-path",
            str(self._file),
            "--concurrency",
            str(self._threads),
            "--disable-hot-restart",
            "--log-level",
            "warning",
            # A request that is too large is not logged: the sender gets an error.
            "--component-log-level",
            "http:critical",
        ]
        return arguments, {"PATH": "/usr/bin:/bin"}

    @property
    def _threads(self) -> int:
        """Those of all processes together are as many as were asked for, or one each."""
        return -(-self._settings.gateway_workers // self._settings.gateway_processes)

    def prefer_one(self, pid: int) -> None:
        """Have one process take all connections, where one thread is to do all the work.

        `pid` is this process, which listens.
        """
        if self._settings.gateway_workers == 1 and self._settings.gateway_processes > 1:
            steering.prefer_first(pid, self._settings.gateway_port)

    def ready(self) -> bool:
        """Return whether it takes requests."""
        return self.admin.live()
