"""The tags that keep the images of revisions in the registry of a place.

Each place in a cluster has tags of its own: several may use one repository, and an image stays as
long as one of them has a tag of it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cloche import artifacts
from cloche.clients.oci import reference as references
from cloche.errors import ClocheError
from cloche.pipeline import cluster_identity
from cloche.rollout.keeping import kept_revisions
from cloche.rollout.warm import warm_revision
from cloche.state.kubernetes.registry_documents import tag_of as tag_of_document

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cloche.pipeline.cluster import Opened

_HEX, _MARK = 8, 40
REVISION = "revision-"
"""How the tags of images of revisions begin, at all places."""
EXPORTED = "exported-"
"""How the tags of images begin that are for clusters which are not asked; they stay."""


def prefix(opened: Opened) -> str:
    """Return how the tags of a place begin; no other place has it."""
    where = cluster_identity.uid_of(opened.cluster) or opened.cluster.server
    digest = artifacts.digest_of(artifacts.encode([where, opened.place.namespace]))
    return f"{REVISION}{digest.removeprefix('sha256:')[:_HEX]}-"


def tag_of(opened: Opened, digest: str) -> str:
    """Return the tag of a place for an image that was not built for it."""
    return f"{prefix(opened)}{digest.removeprefix('sha256:')[:_MARK]}"


def keep(opened: Opened, service: str) -> None:
    """Have each kept revision under a tag of the place, and no other revision.

    What the registry refuses is left as it is: that is no error. Tags of images of which no
    revision is known stay: a deploy of someone else may be about to record one.
    """
    stored = opened.state.service(service)
    if stored is None:
        return
    wanted = kept_revisions(stored.record) | {warm_revision(stored.record, opened.cluster.now())}
    kept: set[str] = set()
    dropped: set[str] = set()
    for revision in opened.state.revisions(service):
        if revision.deployment.image is not None:
            digest = revision.deployment.image.partition("@")[2]
            (kept if revision.number in wanted else dropped).add(digest)
    with suppress(ClocheError):
        _tag(opened, service, kept, dropped - kept)


def removal(opened: Opened, service: str) -> Callable[[], None]:
    """Return what removes the tags of a service that is there now, once it has been deleted."""
    documents = opened.state.numbered.documents(service)
    return lambda: remove(opened, service, documents)


def remove(opened: Opened, service: str, documents: Collection[str]) -> None:
    """Remove the tags of a service that was deleted; `documents` are those of its revisions.

    Documents have no tag for each place, so they stay while other places have one there. What the
    registry refuses is left as it is: that is no error.
    """
    asked, ours = references.parse(f"{opened.place.registry}/{service}"), prefix(opened)
    registry = opened.connections.at(asked.host)
    with suppress(ClocheError):
        tags = registry.tags(asked.name)
        gone = {tag for tag in tags if tag.startswith(ours)}
        if not any(tag.startswith(REVISION) for tag in set(tags) - gone):
            gone |= {tag_of_document(digest) for digest in documents}.intersection(tags)
        for tag in sorted(gone):
            registry.delete_tag(asked.name, tag)


def _tag(opened: Opened, service: str, kept: set[str], dropped: set[str]) -> None:
    asked = references.parse(f"{opened.place.registry}/{service}")
    registry, name, ours = opened.connections.at(asked.host), asked.name, prefix(opened)
    tags = [tag for tag in registry.tags(name) if tag.startswith(ours)]
    if not dropped and len(tags) >= len(kept):
        return
    found = {tag: registry.manifest(name, tag).digest for tag in tags}
    for digest in sorted(kept - set(found.values())):
        # It was brought back after its tag had been removed.
        again = registry.manifest(name, digest)
        registry.put_manifest(name, tag_of(opened, digest), again.data, again.media_type)
    for tag, digest in found.items():
        if digest in dropped:
            registry.delete_tag(name, tag)
