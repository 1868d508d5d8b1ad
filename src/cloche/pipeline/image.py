"""From a deployment to its image."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche import composition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import Deployment
    from cloche.clients.oci.reference import ImageReference
    from cloche.clients.oci.registry import Registry
    from cloche.images.base import Base
    from cloche.images.image import Destination, Image, Platform
    from cloche.images.names import Name
    from cloche.images.reading import ReadImage
    from cloche.progress import Progress
    from cloche.settings import Settings


@dataclass(frozen=True, slots=True)
class Registries:
    """Connections to registries, one for each host; `environment` says who asks."""

    environment: Mapping[str, str]
    _stack: ExitStack
    _open: dict[str, Registry] = field(default_factory=dict)

    def at(self, host: str) -> Registry:
        """Return the connection to a host."""
        from cloche.clients.oci.registry import Registry

        if host not in self._open:
            opened = Registry(host, environment=self.environment)
            self._open[host] = self._stack.enter_context(opened)
        return self._open[host]


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: one image, or the index of one for each platform."""

    digest: str
    images: tuple[Image, ...]


@contextmanager
def registries(environment: Mapping[str, str]) -> Iterator[Registries]:
    """Yield connections that are closed at the end."""
    with ExitStack() as stack:
        yield Registries(environment, stack)


def read_image(text: str, platform: Platform | None, connections: Registries) -> ReadImage:
    """Return the image of a path or a reference; of a registry its manifests alone are read.

    Without a platform it is the only one, or that of this machine. Raises UsageError
    `registry.reference`, and ClocheError `image.…` and `registry.…`.
    """
    from cloche.images import addresses, reading, remote

    address = addresses.parse(text)
    if isinstance(address, addresses.LocalAddress):
        return reading.read(address.path, platform, name=address.name)
    return remote.read(connections.at(address.host), address, platform)


def read_base(text: str, platform: Platform, connections: Registries) -> Base:
    """Return the base of a path or a reference, as by `read_image`."""
    from cloche.images import base

    return base.of(read_image(text, platform, connections))


def write_image(
    deployment: Deployment,
    bases: Sequence[Base],
    output: Path,
    *,
    name: Name | None = None,
    settings: Settings,
    progress: Progress,
) -> Built:
    """Write the image of a deployment to an archive (`.tar`) or an OCI layout, and return it.

    It is on each of the bases, one for each platform, and called as the service where it has no
    `name`. Nothing is left at `output` if it fails. Raises ClocheError `image.…`.
    """
    with destination_of(output) as destination:
        return _build(deployment, bases, destination, name, settings=settings, progress=progress)


def image_of(
    deployment: Deployment, base: Base, *, settings: Settings, progress: Progress
) -> Image:
    """Return the image of a deployment, whose layers lie in the store and are written nowhere.

    Raises ClocheError `image.…`.
    """
    from cloche.images.unwritten import Unwritten

    built = _build(deployment, [base], Unwritten(), None, settings=settings, progress=progress)
    return built.images[0]


def push_image(
    deployment: Deployment,
    bases: Sequence[Base],
    reference: ImageReference,
    connections: Registries,
    *,
    settings: Settings,
    progress: Progress,
) -> Built:
    """Push the image of a deployment, and return it; nothing is under the tag before all is there.

    Raises ClocheError `image.…` and `registry.…`.
    """
    from cloche.images.pushing import RepositoryWriter

    shared: dict[str, str] = {}
    for base in bases:
        shared |= base.repositories(reference.host)
    destination = RepositoryWriter(connections.at(reference.host), reference, shared)
    return _build(deployment, bases, destination, None, settings=settings, progress=progress)


def _build(
    deployment: Deployment,
    bases: Sequence[Base],
    destination: Destination,
    name: Name | None,
    *,
    settings: Settings,
    progress: Progress,
) -> Built:
    from cloche.images import building, content, environment, names

    store = composition.store(settings)
    repository = deployment.repository
    installed = {member.lock_digest for member in repository.members}

    def built(base: Base) -> Image:
        start = composition.servers()[repository.server].container(
            repository, store.tree_path(repository.digest), base.software.python_backends
        )
        made = {
            member.lock.digest: environment.make(
                member.lock, base, start, store, progress, os.environ
            )
            for member in deployment.members
            if member.lock is not None and member.lock.digest in installed
        }
        contents = content.content_of(deployment, base, start, made, store)
        return building.build(contents, base, store, destination, progress)

    with store.working():
        images = tuple(map(built, bases))
    root = building.finish(images, destination, name or names.of_service(deployment.service))
    return Built(root.descriptor.digest, images)


def check_output(output: Path, platforms: int = 1) -> None:
    """Raise ClocheError for a place that holds something else, or fewer platforms."""
    from cloche.images import archive, layout

    if _is_archive(output):
        archive.check_platforms(output, platforms)
        archive.check(output)
    else:
        layout.check(output)


def destination_of(output: Path) -> AbstractContextManager[Destination]:
    """Return the archive (`.tar`) or the OCI layout at a path as a destination."""
    from cloche.images import archive, layout

    return archive.writing(output) if _is_archive(output) else layout.writing(output)


def _is_archive(output: Path) -> bool:
    return output.suffix == ".tar"
