"""What Cloche asks of a server: how to install it, start it, and know whether it is ready."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cloche.progress import Progress


class WireProtocol(enum.StrEnum):
    """What clients can speak to a server."""

    KSERVE_HTTP = "kserve-v2-http"
    KSERVE_GRPC = "kserve-v2-grpc"


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """The loopback ports of one replica."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """What to execute; `env` is the whole environment, not an addition to one."""

    argv: tuple[str, ...]
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """The names of a server's counters for Prometheus, each with the label `model`."""

    successes: str
    failures: str
    request_microseconds: str
    """Time of requests from their arrival to their answer, added up."""
    queue_microseconds: str
    """The part of it that they waited for an instance."""
    pending: str
    """A gauge: requests that wait now."""


class InstalledServer(Protocol):
    """A server on disk, ready to be started."""

    @property
    def executable(self) -> Path:
        """Return the program."""

    @property
    def interpreter(self) -> Path:
        """Return a Python with the runtimes that the server runs models by."""

    def lay_out(
        self, destination: Path, tree: Path, *, models: Iterable[str], environment: Path | None
    ) -> Path:
        """Make the folder that replicas are pointed at, whole or not at all, and return it.

        `tree` is the model repository, `environment` the virtual environment of its models. A
        folder at `destination` is replaced. Raises ClocheError `server.…`.
        """

    def command(
        self,
        serving: Path,
        ports: ServerPorts,
        *,
        identity: str,
        environment: Mapping[str, str] | None = None,
    ) -> ServerCommand:
        """Return how to start the replica `identity` on such a folder.

        Of `environment` (this process's by default) only what a server needs is passed on.
        """


class Server(Protocol):
    """One kind of server, in the release that this version of Cloche serves with."""

    name: str
    version: str
    release: str
    """As its maintainers name it: `24.10`"""
    package: str
    """What a package index must have for it to be installed."""
    image: str
    """The container image of this release."""
    protocols: frozenset[WireProtocol]
    metrics: ServerMetrics
    exit_limit: float
    """Seconds that it may take for the requests that it has, once it was asked to end."""

    def check_host(self) -> None:
        """Raise ClocheError where this machine cannot run it."""

    def install(
        self,
        root: Path,
        progress: Progress | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> InstalledServer:
        """Return the installation under `root`, made first where it is missing.

        `environment` is the user's. Safe for several processes at once. Raises ClocheError.
        """

    def installed(self, root: Path) -> bool:
        """Return whether `install` has nothing to download."""

    def outdated(self, root: Path) -> list[Path]:
        """Return the installations under `root` that this version of Cloche does not use."""

    def ready_paths(self, models: Iterable[str]) -> tuple[str, ...]:
        """Return what answers 200 over HTTP when a replica with these models is ready."""

    def clean(self, serving: Path, identity: str) -> None:
        """Remove what a replica left behind, all of whose processes have ended."""
