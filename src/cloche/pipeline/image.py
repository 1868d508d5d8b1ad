"""From a deployment to its image."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cloche import composition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import ContainerStart, Deployment, Finding, Lock
    from cloche.clients.oci.reference import ImageReference
    from cloche.clients.oci.registry import Registry
    from cloche.images.bases.base import Base
    from cloche.images.content import Content
    from cloche.images.image import Destination, Image, Platform
    from cloche.images.layering.environment import Environment
    from cloche.images.names import Name
    from cloche.images.sources.reading import ReadImage
    from cloche.progress import Progress
    from cloche.settings import Settings
    from cloche.store import Store


_HEX = 12


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

    def has(self, image: str) -> bool:
        """Return whether its registry has an image, `HOST/NAME@sha256:…`."""
        from cloche.clients.oci import reference as references

        asked = references.parse(image)
        return self.at(asked.host).has_manifest(asked.name, asked.reference)


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: one image, or the index of one for each platform."""

    digest: str
    images: tuple[Image, ...]
    name: Name
    """What it is called where it went."""
    server: Built | None = None
    """The image of the server, where the models have one of their own."""
    findings: tuple[Finding, ...] = ()
    """What is worth telling of how it was made."""


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
    from cloche.images import addresses
    from cloche.images.sources import reading, remote

    address = addresses.parse(text)
    if isinstance(address, addresses.LocalAddress):
        return reading.read(address.path, platform, name=address.name)
    return remote.read(connections.at(address.host), address, platform)


def read_base(text: str, platform: Platform, connections: Registries) -> Base:
    """Return the base of a path or a reference, as by `read_image`."""
    from cloche.images.bases import base

    return base.of(read_image(text, platform, connections))


def write_image(
    deployment: Deployment,
    bases: Sequence[Base],
    output: Path,
    *,
    name: Name | None = None,
    split: bool = False,
    settings: Settings,
    progress: Progress,
) -> Built:
    """Write the image of a deployment to an archive (`.tar`) or an OCI layout, and return it.

    It is on each of the bases, one for each platform, and called as the service where it has no
    `name`. `split` makes two, one of the models alone. Nothing is left at `output` if it fails.
    Raises ClocheError `image.…`.
    """
    from cloche.images import names

    called = name or names.of_service(deployment.service)
    with destination_of(output) as destination:

        def place(_: str) -> tuple[Destination, Name]:
            return destination, names.of_server(called)

        making = _Making(deployment, destination, called, place, settings, progress)
        return making.split(bases) if split else making.whole(bases)


def image_of(
    deployment: Deployment,
    base: Base,
    *,
    split: bool = False,
    settings: Settings,
    progress: Progress,
) -> Built:
    """Return the image of a deployment, whose layers lie in the store and are written nowhere.

    `split` makes two. Raises ClocheError `image.…`.
    """
    from cloche.images import names
    from cloche.images.destinations.unwritten import Unwritten

    nowhere, name = Unwritten(), names.of_service(deployment.service)
    making = _Making(deployment, nowhere, name, lambda _: (nowhere, name), settings, progress)
    return making.split([base]) if split else making.whole([base])


def push_image(
    deployment: Deployment,
    bases: Sequence[Base],
    reference: ImageReference,
    connections: Registries,
    *,
    split: bool = False,
    settings: Settings,
    progress: Progress,
) -> Built:
    """Push the image of a deployment, and return it; nothing is under the tag before all is there.

    `split` makes two: that of the models under the tag, that of the server under `server-<digest>`.
    Raises ClocheError `image.…` and `registry.…`.
    """
    from cloche.images import names
    from cloche.images.destinations.pushing import RepositoryWriter

    shared: dict[str, str] = {}
    for base in bases:
        shared |= base.repositories(reference.host)
    destination = RepositoryWriter(connections.at(reference.host), reference, shared)
    name = names.parse(str(reference))

    def place(digest: str) -> tuple[Destination, Name]:
        other = destination.under(f"server-{digest.removeprefix('sha256:')[:_HEX]}")
        return other, names.parse(str(other.reference))

    making = _Making(deployment, destination, name, place, settings, progress)
    return making.split(bases) if split else making.whole(bases)


@dataclass(frozen=True, slots=True)
class _Making:
    """The image of a deployment on its way to a destination."""

    deployment: Deployment
    destination: Destination
    name: Name
    place_of_server: Callable[[str], tuple[Destination, Name]]
    """Where the server's image of a digest goes."""
    settings: Settings
    progress: Progress

    def whole(self, bases: Sequence[Base]) -> Built:
        """Make one image with all in it, for each base."""
        with composition.store(self.settings).working():
            contents = [(base, self._content(base)) for base in bases]
            images = tuple(self._build(content, base) for base, content in contents)
        made = self._finished(images, self.destination, self.name)
        return replace(made, findings=_findings(content for _, content in contents))

    def split(self, bases: Sequence[Base]) -> Built:
        """Make an image of the models alone, and one of the server that runs them."""
        from cloche.images.bases import base as base_images

        with composition.store(self.settings).working():
            contents = [(base, self._content(base)) for base in bases]
            servers = tuple(self._build(all_.server_alone(), base) for base, all_ in contents)
            models = tuple(
                self._build(all_.models_alone(), base_images.nothing(base.platform))
                for base, all_ in contents
            )
        server = self._finished(servers, *self.place_of_server(_digest_of(servers)))
        made = self._finished(models, self.destination, self.name)
        return replace(made, server=server, findings=_findings(each for _, each in contents))

    def _content(self, base: Base) -> Content:
        from cloche.images import content

        store = composition.store(self.settings)
        start = container_start(self.deployment, base, store)
        locks = self.deployment.installed_locks
        made = {lock.digest: self._environment(lock, base, start) for lock in locks}
        return content.content_of(self.deployment, base, start, made, store)

    def _environment(self, lock: Lock, base: Base, start: ContainerStart) -> Environment:
        from cloche.images.layering import compiling, environment

        sources = compiling.Sources(self.settings.images_debian_mirror, os.environ)
        store = composition.store(self.settings)
        return environment.make(lock, base, start, store, self.progress, sources)

    def _build(self, content: Content, base: Base) -> Image:
        from cloche.images import building

        store = composition.store(self.settings)
        return building.build(content, base, store, self.destination, self.progress)

    def _finished(self, images: tuple[Image, ...], destination: Destination, name: Name) -> Built:
        from cloche.images import building

        root = building.finish(images, destination, name)
        return Built(root.descriptor.digest, images, name)


def _findings(contents: Iterable[Content]) -> tuple[Finding, ...]:
    """Return what is worth telling of the environments in contents, each once."""
    found = (each for content in contents for each in content.findings)
    return tuple(dict.fromkeys(found))


def _digest_of(images: tuple[Image, ...]) -> str:
    from cloche.images import building

    return building.root_of(images).descriptor.digest


def container_start(deployment: Deployment, base: Base, store: Store) -> ContainerStart:
    """Return how the server of a deployment starts in a container on a base."""
    repository = deployment.repository
    return composition.servers()[repository.server].container(
        repository, store.tree_path(repository.digest), base.software.python_backends
    )


def check_output(output: Path, platforms: int = 1, *, split: bool = False) -> None:
    """Raise ClocheError for a place that holds something else, or fewer images."""
    from cloche.images.destinations import archive, layout

    if _is_archive(output):
        archive.check_platforms(output, platforms)
        archive.check_split(output, split=split)
        archive.check(output)
    else:
        layout.check(output)


def destination_of(output: Path) -> AbstractContextManager[Destination]:
    """Return the archive (`.tar`) or the OCI layout at a path as a destination."""
    from cloche.images.destinations import archive, layout

    return archive.writing(output) if _is_archive(output) else layout.writing(output)


def _is_archive(output: Path) -> bool:
    return output.suffix == ".tar"
