"""From one place of an image to another."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloche.errors import UsageError
from cloche.images import addresses, names
from cloche.images.copying import copying, graph
from cloche.images.destinations import archive, layout
from cloche.images.destinations.pushing import RepositoryWriter
from cloche.images.sources import source as sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloche.clients.oci.reference import ImageReference
    from cloche.images.addresses import Address
    from cloche.images.copying.graph import Chosen, Node
    from cloche.images.destinations.transfer import Amounts
    from cloche.images.image import Destination, Platform
    from cloche.images.names import Name
    from cloche.pipeline.image import Registries
    from cloche.progress import Progress


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied."""

    node: Node
    name: str | None
    """Under which it is at its place, where it has one."""
    platforms: tuple[str, ...]
    referrers: int
    """Manifests that refer to it, such as golden answers, and were taken along."""
    amounts: Amounts
    seconds: float

    @property
    def digest(self) -> str:
        """Return the digest of what was copied."""
        return self.node.digest


def copy(
    source: Address,
    target: Address,
    wanted: Platform | None,
    connections: Registries,
    progress: Progress,
) -> Copied:
    """Copy an image with all its platforms, or one that is wanted, byte for byte.

    What refers to it is taken along, and nothing is under the new name before all is there. Raises
    UsageError `image.…`, and ClocheError `image.…` and `registry.…`.
    """
    began = time.monotonic()
    addresses.require_different(source, target)
    chosen = _read(source, wanted, connections)
    images = copying.images_of(chosen.node)
    name = _name(target, chosen)
    with _destination(target, chosen.node, source, connections) as destination:
        amounts = copying.copy(chosen.node, name, destination, progress)
    return Copied(
        node=chosen.node,
        name=name.full or name.short if name is not None else None,
        platforms=tuple(str(image.platform) for image in images),
        referrers=_referrers(chosen.node),
        amounts=amounts,
        seconds=time.monotonic() - began,
    )


def _read(address: Address, wanted: Platform | None, connections: Registries) -> Chosen:
    if isinstance(address, addresses.LocalAddress):
        return graph.read(*sources.stored(address), wanted)
    source = sources.RemoteSource(connections.at(address.host), address.name)
    return graph.read(source, [source.entry(address)], wanted)


def _name(target: Address, chosen: Chosen) -> Name | None:
    if isinstance(target, addresses.LocalAddress):
        return names.found(target.name, None) if target.name else chosen.name
    return names.of_reference(target)


@contextmanager
def _destination(
    target: Address, node: Node, source: Address, connections: Registries
) -> Iterator[Destination]:
    """Yield where an image goes; what it cannot take is refused before anything is written."""
    if not isinstance(target, addresses.LocalAddress):
        yield _repository(target, node, source, connections)
        return
    if target.is_archive:
        archive.check_platforms(target.path, len(copying.images_of(node)))
        with archive.writing(target.path) as written:
            yield written
        return
    with layout.writing(target.path, resumed=True) as folder:
        yield folder


def _repository(
    target: ImageReference, node: Node, source: Address, connections: Registries
) -> RepositoryWriter:
    if target.digest not in {None, node.digest}:
        raise UsageError(
            "image.digest",
            f"The image has another digest: {node.digest}.",
            where=str(target),
            hint="A copy keeps its digest: name a tag instead.",
        )
    mountable: dict[str, str] = {}
    if not isinstance(source, addresses.LocalAddress) and source.host == target.host:
        blobs = (blob.descriptor.digest for each in node.walk() for blob in each.blobs)
        mountable = dict.fromkeys(blobs, source.name)
    return RepositoryWriter(connections.at(target.host), target, mountable)


def _referrers(node: Node) -> int:
    return len({each.digest for one in node.walk() for each in one.referrers})
