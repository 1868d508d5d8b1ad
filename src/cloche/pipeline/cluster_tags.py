"""The tags that keep the images of revisions in the registry of a place.

Each place in a cluster has tags of its own: several may use one repository, and an image stays as
long as one of them has a tag of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.pipeline import cluster_identity
from cloche.rollout.keeping import kept_revisions

if TYPE_CHECKING:
    from cloche.pipeline.cluster import Opened

_HEX = 8
EXPORTED = "exported-"
"""How the tags of images begin that are for clusters which are not asked; they stay."""


def prefix(opened: Opened) -> str:
    """Return how the tags of a place begin; no other place has it."""
    where = cluster_identity.uid_of(opened.cluster) or opened.cluster.server
    digest = artifacts.digest_of(artifacts.encode([where, opened.place.namespace]))
    return f"revision-{digest.removeprefix('sha256:')[:_HEX]}-"


def prune(opened: Opened, service: str) -> tuple[str, ...]:
    """Remove the tags of the place for revisions that are no longer kept, and return them.

    A registry that removes none, or may not be asked, keeps all: that is no error. Tags of images
    of which no revision is known stay: a deploy of someone else may be about to record one.
    """
    try:
        return tuple(_removed(opened, service))
    except ClocheError:
        return ()


def _removed(opened: Opened, service: str) -> list[str]:
    stored = opened.state.service(service)
    if stored is None:
        return []
    kept = kept_revisions(stored.record)
    images: dict[bool, set[str]] = {True: set(), False: set()}
    for revision in opened.state.revisions(service):
        if revision.deployment.image is not None:
            images[revision.number in kept].add(revision.deployment.image)
    dropped = {image.partition("@")[2] for image in images[False] - images[True]}
    if not dropped:
        return []
    asked = references.parse(f"{opened.place.registry}/{service}")
    registry, name = opened.connections.at(asked.host), asked.name
    ours = [tag for tag in registry.tags(name) if tag.startswith(prefix(opened))]
    return [
        tag
        for tag in ours
        if registry.manifest(name, tag).digest in dropped and registry.delete_tag(name, tag)
    ]
