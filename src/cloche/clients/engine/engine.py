"""What is asked of the Docker or Podman at hand; both understand the same words.

Nothing that an engine had before is changed or removed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.clients.engine.program import LONG, Program
from cloche.clients.oci.reference import is_loopback
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cloche.clients.engine.program import Done

KINDS = ("docker", "podman")
_PLATFORM = {
    "docker": ("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"),
    "podman": ("info", "--format", "{{.Host.OS}}/{{.Host.Arch}}"),
}
"""The commands that tell the platform of what runs the containers; they fail where nothing does."""
_LOCAL = ("unix:", "npipe:", "fd:")
_START = {
    "docker": "Start it: `systemctl start docker`, or Docker Desktop. Or name another with"
    " --engine.",
    "podman": "On macOS and Windows start its machine: `podman machine start`. Or name another with"
    " --engine.",
}


@dataclass(frozen=True, slots=True)
class State:
    """What a container does."""

    running: bool
    status: int
    """The exit status of one that ended."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers. Methods raise ClocheError `engine.…`."""

    kind: str
    program: Program
    platform: str
    """Where its containers run: `linux/amd64`."""

    def require_network(self) -> None:
        """Raise ClocheError `engine.network` if the engine publishes no ports of containers."""
        # Podman without root always does, by a program of its own.
        bridge = "bridge" if self.kind == "docker" else "podman"
        if self.program.run("network", "inspect", bridge).status:
            raise self.no_network(self.program.path)

    def no_network(self, where: str) -> ClocheError:
        """Return the error for an engine whose containers have no network."""
        return ClocheError(
            "engine.network",
            f"{self.kind.capitalize()} publishes no port of a container: it has no bridge network.",
            where=where,
            hint="Start the engine with its default bridge, or use another one.",
        )

    def image(self, name: str) -> str | None:
        """Return the ID of an image, which names the same bytes for ever; None if it is not there.

        `name` may be an ID.
        """
        done = self.program.run("image", "inspect", "--format", "{{.Id}}", name)
        return done.out.strip() or None if done.status == 0 else None

    def pull(self, name: str) -> None:
        """Fetch an image from its registry, as the engine is logged in."""
        # Podman asks before it speaks plain HTTP with this machine, Docker does not.
        plain = self.kind == "podman" and is_loopback(name.partition("/")[0])
        insecure = ("--tls-verify=false",) if plain else ()
        done = self.program.run("pull", "--quiet", *insecure, name, limit=LONG)
        self._require(done, "engine.pull", f"{self.kind} cannot pull the image", name)

    def load(self, chunks: Iterable[bytes]) -> None:
        """Load the images of an archive."""
        done = self.program.feed("load", "--quiet", chunks=chunks)
        self._require(done, "engine.load", f"{self.kind} cannot load the image", None)

    def remove_image(self, name: str) -> None:
        """Remove a name of an image, and the image with its last name; none is no error."""
        self.program.run("rmi", name)

    def containers(self, label: str, *, limit: float) -> list[str]:
        """Return the names of all containers with a label `KEY=VALUE`, within so many seconds."""
        words = ("ps", "--all", "--filter", f"label={label}", "--format", "{{.Names}}")
        done = self.program.run(*words, limit=limit)
        self._require(done, "engine.list", f"{self.kind} does not list its containers", None)
        return done.out.split()

    def create(self, name: str, options: Sequence[str], image: str) -> None:
        """Make a container, which does not run yet."""
        done = self.program.run("create", "--name", name, *options, image)
        self._require(done, "engine.create", f"{self.kind} cannot make a container", image)

    def start(self, container: str) -> None:
        """Start a container."""
        done = self.program.run("start", container)
        self._require(done, "engine.run", f"{self.kind} cannot start the container", container)

    def state(self, container: str) -> State:
        """Return what a container does."""
        words = ("container", "inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}")
        done = self.program.run(*words, container)
        self._require(done, "engine.inspect", f"{self.kind} does not tell of it", container)
        running, _, status = done.out.strip().partition(" ")
        return State(running == "true", int(status))

    def address(self, container: str, port: int) -> str | None:
        """Return `127.0.0.1:PORT` of a running container's port; None if it is not published."""
        done = self.program.run("port", container, f"{port}/tcp")
        lines = done.out.split()
        return lines[0] if done.status == 0 and lines else None

    def logs(self, container: str, lines: int) -> str:
        """Return the last lines that a container printed."""
        done = self.program.run("logs", "--tail", str(lines), container)
        return (done.out + done.err).strip() if done.status == 0 else ""

    def remove(self, container: str) -> None:
        """End and remove a container with its volumes; none is no error."""
        self.program.run("rm", "--force", "--volumes", container)

    def _require(self, done: Done, code: str, what: str, where: str | None) -> None:
        if done.status:
            raise ClocheError(
                code,
                f"{what[0].upper()}{what[1:]}: {done.words}",
                where=where,
                hint=f"`{self.kind}` says the same by hand.",
            )


def find(kind: str | None, environment: Mapping[str, str]) -> Engine:
    """Return the engine of a kind, or the first that answers: Docker, then Podman.

    Raises ClocheError `engine.missing`, `engine.unreachable` and `engine.remote`.
    """
    wanted = (kind,) if kind else KINDS
    paths = {each: shutil.which(each, path=environment.get("PATH")) for each in wanted}
    there = {each: path for each, path in paths.items() if path}
    if not there:
        raise ClocheError(
            "engine.missing",
            f"There is no {' and no '.join(wanted)} on this machine.",
            hint="Install Docker (https://docs.docker.com/engine/install) or Podman"
            " (https://podman.io/docs/installation).",
        )
    failed: ClocheError | None = None
    for each, path in there.items():
        try:
            return reached(each, Program(path, environment))
        except ClocheError as error:
            failed = failed or error
    assert failed is not None  # noqa: S101 - one of them at least was asked
    raise failed


def reached(kind: str, program: Program) -> Engine:
    """Return the engine of a program; raises `engine.unreachable`, `engine.remote`."""
    _require_local(kind, program)
    done = program.run(*_PLATFORM[kind])
    platform = done.out.strip()
    if done.status or "/" not in platform:
        raise UnavailableError(
            "engine.unreachable",
            f"{kind.capitalize()} does not answer: {done.words}",
            where=program.path,
            hint=_START[kind],
        )
    return Engine(kind, program, platform)


def _require_local(kind: str, program: Program) -> None:
    """Raise `engine.remote` if Docker's command line speaks with another machine."""
    if kind != "docker":
        return
    done = program.run("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    address = done.out.strip()
    host = address.partition("://")[2].partition("/")[0]
    if done.status or address.startswith(_LOCAL) or is_loopback(host):
        return
    raise ClocheError(
        "engine.remote",
        "Docker runs on another machine, whose loopback cannot be reached from here.",
        where=address,
        hint="Unset DOCKER_HOST, choose a local context with `docker context use default`, or name"
        " another engine with --engine.",
    )
