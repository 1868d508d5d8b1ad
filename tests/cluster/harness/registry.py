"""The registry of a cluster.

References name loopback, as this machine has it; nodes are told that it is on the bridge. Both are
one storage, which two processes serve.
"""

from __future__ import annotations

import json
import socket
from functools import partial
from pathlib import Path

from cluster.harness import network
from cluster.harness.daemon import Daemon
from cluster.harness.programs import Programs
from cluster.harness.waiting import wait_until

PORT = 15000
HOST = f"127.0.0.1:{PORT}"


class ClusterRegistry:
    """A registry on plain HTTP for this machine and all nodes, with its files in a folder."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.folder = folder
        self.hosts = folder / "hosts"
        """What containerd is told of registries."""
        self._programs = programs
        self._daemons = {
            address: Daemon(folder, f"registry-{address}")
            for address in ("127.0.0.1", network.MACHINE)
        }

    @property
    def daemons(self) -> list[Daemon]:
        return list(self._daemons.values())

    def start(self) -> None:
        """Start what of it does not run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tell_nodes()
        for address, daemon in self._daemons.items():
            file = self.folder / f"{address}.json"
            file.write_text(json.dumps({
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {
                    "filesystem": {"rootdirectory": str(self.folder / "storage")},
                    "delete": {"enabled": True},
                },
                "http": {"addr": f"{address}:{PORT}", "draintimeout": "1s"},
            }))  # fmt: skip
            daemon.start(
                [self._programs.path("registry"), "serve", file], {"OTEL_TRACES_EXPORTER": "none"}
            )
            wait_until(partial(_listens, address), "the registry", daemons=(daemon,))

    def _tell_nodes(self) -> None:
        folder = self.hosts / HOST
        folder.mkdir(parents=True, exist_ok=True)
        there = f"http://{network.MACHINE}:{PORT}"
        text = f'server = "{there}"\n[host."{there}"]\n  capabilities = ["pull", "resolve"]\n'
        (folder / "hosts.toml").write_text(text)


def _listens(address: str) -> bool:
    try:
        with socket.create_connection((address, PORT), timeout=1):
            return True
    except OSError:
        return False
