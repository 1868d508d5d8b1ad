"""The contract of a server: how to install it, start it, and check that it is ready."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from cloche.artifacts import ContainerStart, ModelRepository, ServerBase
    from cloche.progress import Progress


class WireProtocol(enum.StrEnum):
    """A protocol between clients and a server."""

    KSERVE_HTTP = "kserve-v2-http"
    KSERVE_GRPC = "kserve-v2-grpc"


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """Where one replica listens: `127.0.0.1:18000`, or `unix:/run/a.http`, as gRPC writes them."""

    http: str
    grpc: str
    metrics: str


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """A command line; `env` is the complete environment."""

    argv: tuple[str, ...]
    env: dict[str, str]
    scratch: Path
    """The folder of its temporary files."""
    reads: tuple[Path, ...] = ()
    """The files and folders that it reads beside those of the system."""
    instead: dict[str, bool] = field(default_factory=dict)
    """Where it makes temporary folders whatever it is told, and whether it puts files there."""


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """The names of a server's counters for Prometheus, each with the label `model`."""

    successes: str
    failures: str
    request_microseconds: str
    """Total time of requests from arrival to answer."""
    queue_microseconds: str
    """The part of that time spent waiting for an instance."""
    pending: str
    """A gauge: requests waiting now."""


class InstalledServer(Protocol):
    """A server on disk, ready to be started."""

    @property
    def executable(self) -> Path:
        """Return the program."""

    @property
    def interpreter(self) -> Path:
        """Return a Python with the server's model runtimes."""

    def lay_out(
        self, destination: Path, tree: Path, *, models: Iterable[str], environment: Path | None
    ) -> Path:
        """Make the serving folder of replicas atomically, and return it.

        `tree` is the model repository, `environment` the virtual environment of its models.
        Replaces a folder at `destination`. Raises ClocheError `server.…`.
        """

    def sockets(self, folder: Path, name: str) -> ServerAddresses:
        """Return the addresses of a replica on Unix sockets in a folder, whose names begin so."""

    def command(
        self,
        serving: Path,
        addresses: ServerAddresses,
        *,
        identity: str,
        environment: Mapping[str, str] | None = None,
    ) -> ServerCommand:
        """Return the command of the replica `identity` on a serving folder.

        Passes on only what a server needs of `environment` (default: this process's).
        """


class Server(Protocol):
    """A kind of server, in the release that this version of Cloche uses."""

    name: str
    version: str
    release: str
    """Its maintainers' name of it: `24.10`"""
    package: str
    """The requirement that a package index must satisfy to install it."""
    image: str
    """The container image of this release."""
    protocols: frozenset[WireProtocol]
    metrics: ServerMetrics
    model_program: str | None
    """The program of the children in which it runs models written in Python, if it does so."""
    survives_cancelled_calls: bool
    """Whether it goes on when a client cancels a call over gRPC while it is answered."""
    exit_limit: float
    """Seconds to finish its requests after it is asked to end."""

    def check_host(self) -> None:
        """Raise ClocheError if this machine cannot run the server."""

    def has_gpu(self) -> bool:
        """Return whether this machine has a GPU that the server can use."""

    def install(
        self,
        root: Path,
        progress: Progress | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> InstalledServer:
        """Return the installation under `root`; install it if it is missing.

        `environment` is the user's. Safe for concurrent processes. Raises ClocheError.
        """

    def installed(self, root: Path) -> bool:
        """Return whether `install` has nothing to download."""

    def outdated(self, root: Path) -> list[Path]:
        """Return the installations under `root` that this version of Cloche does not use."""

    def ready_paths(self, models: Iterable[str]) -> tuple[str, ...]:
        """Return the HTTP paths that answer 200 when a replica with these models is ready."""

    def container(
        self, repository: ModelRepository, tree: Path, python_backends: Collection[str] = ()
    ) -> ContainerStart:
        """Return how the server starts in its container, on the repository at `tree`.

        `python_backends` names those that run in Python there, beside the one of that name.
        """

    def base(self, packages: str, python: str) -> ServerBase:
        """Return what an image of Cloche's own holds of the server.

        `packages` is the folder in the image where its Python, such as `3.11`, finds packages.
        """

    def clean(self, serving: Path, identity: str) -> None:
        """Remove what a replica left behind; all its processes must have ended."""
