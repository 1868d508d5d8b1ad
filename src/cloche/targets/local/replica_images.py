"""The images that engines hold for replicas: a file for each, in `CLOCHE_HOME/containers`.

The command that sends a deployment loads its image first, and writes down how it reached the
engine: the control plane may have another environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.clients.engine.engine import Engine
from cloche.clients.engine.program import Program
from cloche.errors import ClocheError
from cloche.targets.local import records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VARIABLES = (
    "PATH", "HOME", "USER", "TMPDIR",
    "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINER_SSHKEY",
    "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF",
)  # fmt: skip
"""By these the programs of engines find what they command; none of them is a secret."""


@dataclass(frozen=True, slots=True)
class ReplicaImage:
    """An image from which the replicas of a repository are started, and the engine that has it."""

    service: str
    repository: str
    """The digest of the model repository in it."""
    digest: str
    name: str
    """What the engine calls it."""
    id: str
    """What the engine knows it by: it names these bytes, whatever becomes of the name."""
    size: int
    """Bytes of its layers."""
    ports: tuple[int, ...]
    """Of the server in the container: HTTP, gRPC, metrics."""
    shared_memory: int
    """Bytes of /dev/shm that the server needs."""
    kind: str
    program: str
    environment: dict[str, str]
    platform: str

    @property
    def engine(self) -> Engine:
        """Return the engine that has the image."""
        return Engine(self.kind, Program(self.program, self.environment), self.platform)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an engine's program needs of an environment."""
    return {name: environment[name] for name in _VARIABLES if environment.get(name)}


def save(folder: Path, image: ReplicaImage) -> None:
    """Write down that an engine holds an image; raises ClocheError `target.local.disk`."""
    records.save(_path(folder, image), image)


def entries(folder: Path) -> list[ReplicaImage]:
    """Return the images of a home; raises ClocheError `target.local.disk`."""
    found = (records.load(path, ReplicaImage) for path in records.entries(folder))
    return [image for image in found if image is not None]


def last_used(folder: Path, image: ReplicaImage) -> float:
    """Return when an image was loaded or found again, in seconds since the epoch."""
    return _path(folder, image).stat().st_mtime


def existing(folder: Path, service: str, repository: str) -> ReplicaImage:
    """Return the image of a repository that was loaded last.

    Raises ClocheError `target.local.image` if its engine does not have it.
    """
    fitting = [
        image
        for image in entries(folder)
        if (image.service, image.repository) == (service, repository)
    ]
    image = max(fitting, key=lambda each: last_used(folder, each), default=None)
    if image is None or image.engine.image(image.id) is None:
        raise ClocheError(
            "target.local.image",
            f"{image.kind.capitalize() if image else 'No engine'} has"
            f" {'no longer' if image else ''} the image of its replicas.",
            where=image.name if image else service,
            hint="Deploy its model again: that makes and loads it.",
        )
    return image


def remove(folder: Path, image: ReplicaImage) -> None:
    """Remove an image from its engine, and forget it; one that is in use stays there.

    Raises ClocheError `engine.…`.
    """
    engine = image.engine
    engine.remove_image(image.name)
    if engine.image(image.name) is None:
        _path(folder, image).unlink(missing_ok=True)


def _path(folder: Path, image: ReplicaImage) -> Path:
    return folder / f"{image.service}-{image.digest.removeprefix('sha256:')[:12]}.json"
