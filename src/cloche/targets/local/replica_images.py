"""The images that engines hold for replicas: a file for each, in `CLOCHE_HOME/containers`.

The command that sends a deployment loads its image first, and writes down how it reached the
engine: the control plane may have another environment.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.clients.engine.engine import Engine, reached
from cloche.clients.engine.program import Program
from cloche.errors import ClocheError
from cloche.store import Cleaned, Usage
from cloche.targets.local import records

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
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

_log = logging.getLogger(__name__)


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
    layers: dict[str, int]
    """The bytes of each, by digest: images share those of their base."""
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

    def reached(self) -> Engine:
        """Return the same, which answers; raises ClocheError `engine.unreachable`."""
        return reached(self.kind, Program(self.program, self.environment))


def home_mark(home: Path) -> str:
    """Return what tells the images and containers of a home from those of others."""
    return hashlib.sha256(os.path.realpath(home).encode()).hexdigest()[:12]


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


def existing(folder: Path, service: str, repository: str) -> ReplicaImage:
    """Return the image of a repository that was loaded last.

    Raises ClocheError `target.local.image` if its engine does not have it, and `engine.…` if that
    does not answer.
    """
    image = _newest(folder).get((service, repository))
    if image is not None and image.engine.image(image.id) is not None:
        return image
    if image is not None:
        image.reached()
    whose = f"{image.kind.capitalize()} no longer has" if image else "no engine has"
    raise ClocheError(
        "target.local.image",
        f"{whose} the image of its replicas.",
        where=image.name if image else service,
        hint="Deploy its model again: that makes and loads it.",
    )


def usage(folder: Path, keep: Collection[str]) -> list[Usage]:
    """Return the images of a home; `keep` has the digests of repositories in use.

    Of those of one repository the one that was loaded last is kept.
    """
    newest = _newest(folder)
    return [_usage(folder, image, image in newest.values(), keep) for image in entries(folder)]


def clean(folder: Path, keep: Collection[str], *, before: float) -> Cleaned:
    """Remove the images that are not kept and were last used before `before`.

    `before` is in seconds since 1970. An image that a container still uses stays, as does one whose
    engine does not answer. Layers that other images of the home have are not freed.
    """
    newest = _newest(folder)
    removed: list[Usage] = []
    free: dict[str, int] = {}
    left: dict[str, int] = {}
    for image in entries(folder):
        used = _usage(folder, image, image in newest.values(), keep)
        if used.kept or used.last_used >= before or not _remove(folder, image):
            left |= image.layers
        else:
            free |= image.layers
            removed.append(used)
    freed = sum(size for digest, size in free.items() if digest not in left)
    return Cleaned(freed, sum(left.values()), tuple(removed))


def _newest(folder: Path) -> dict[tuple[str, str], ReplicaImage]:
    """Return for each repository of a service the image that was loaded last."""
    images = sorted(entries(folder), key=lambda each: _last_used(folder, each))
    return {(image.service, image.repository): image for image in images}


def _usage(folder: Path, image: ReplicaImage, newest: bool, keep: Collection[str]) -> Usage:
    return Usage(
        kind="image",
        digest=image.digest,
        label=image.name,
        size=sum(image.layers.values()),
        last_used=_last_used(folder, image),
        kept=newest and image.repository in keep,
    )


def _remove(folder: Path, image: ReplicaImage) -> bool:
    """Remove an image from its engine and forget it; return whether it is gone."""
    try:
        engine = image.reached()
        engine.remove_image(image.name)
        gone = engine.image(image.name) is None
    except ClocheError as error:
        _log.warning("%s stays: %s", image.name, error.what)
        return False
    if gone:
        _path(folder, image).unlink(missing_ok=True)
    return gone


def _last_used(folder: Path, image: ReplicaImage) -> float:
    return _path(folder, image).stat().st_mtime


def _path(folder: Path, image: ReplicaImage) -> Path:
    return folder / f"{image.service}-{image.digest.removeprefix('sha256:')[:12]}.json"
