"""From a deployment to its image."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche import composition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import Deployment
    from cloche.clients.oci.reference import ImageReference
    from cloche.clients.oci.registry import Registry
    from cloche.images.base import Base
    from cloche.images.image import Destination, Image, Platform
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


@contextmanager
def registries(environment: Mapping[str, str]) -> Iterator[Registries]:
    """Yield connections that are closed at the end."""
    with ExitStack() as stack:
        yield Registries(environment, stack)


def read_base(text: str, platform: Platform, connections: Registries) -> Base:
    """Return the base of a path or a reference; of a registry its manifests alone are read.

    Raises UsageError `registry.reference`, and ClocheError `image.…` and `registry.…`.
    """
    from cloche.clients.oci import reference as references
    from cloche.images import base, remote

    if base.is_path(text):
        return base.read(text, platform)
    reference = references.parse(text)
    return base.of(remote.read(connections.at(reference.host), reference, platform))


def write_image(
    deployment: Deployment, base: Base, output: Path, *, settings: Settings, progress: Progress
) -> Image:
    """Write the image of a deployment to an archive (`.tar`) or an OCI layout, and return it.

    Nothing is left at `output` if it fails. Raises ClocheError `image.…`.
    """
    with destination_of(output) as destination:
        return _build(deployment, base, destination, settings, progress)


def push_image(
    deployment: Deployment,
    base: Base,
    reference: ImageReference,
    connections: Registries,
    *,
    settings: Settings,
    progress: Progress,
) -> Image:
    """Push the image of a deployment, and return it; nothing is under the tag before all is there.

    Raises ClocheError `image.…` and `registry.…`.
    """
    from cloche.images.pushing import RepositoryWriter

    shared = base.repositories(reference.host)
    destination = RepositoryWriter(connections.at(reference.host), reference, shared)
    return _build(deployment, base, destination, settings, progress)


def _build(
    deployment: Deployment,
    base: Base,
    destination: Destination,
    settings: Settings,
    progress: Progress,
) -> Image:
    from cloche.images import building, content, environment

    store = composition.store(settings)
    repository = deployment.repository
    start = composition.servers()[repository.server].container(
        repository, store.tree_path(repository.digest), base.software.python_backends
    )
    with store.working():
        installed = {member.lock_digest for member in repository.members}
        made = {
            member.lock.digest: environment.make(
                member.lock, base, start, store, progress, os.environ
            )
            for member in deployment.members
            if member.lock is not None and member.lock.digest in installed
        }
        contents = content.content_of(deployment, base, start, made, store)
        return building.build(contents, base, store, destination, progress)


def check_output(output: Path) -> None:
    """Raise ClocheError `image.output` for a place that holds something else."""
    from cloche.images import archive, layout

    if _is_archive(output):
        archive.check(output)
    else:
        layout.check(output)


def destination_of(output: Path) -> AbstractContextManager[Destination]:
    """Return the archive (`.tar`) or the OCI layout at a path as a destination."""
    from cloche.images import archive, layout

    return archive.writing(output) if _is_archive(output) else layout.writing(output)


def _is_archive(output: Path) -> bool:
    return output.suffix == ".tar"
