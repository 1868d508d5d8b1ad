"""The cache of a home: its entries, those that revisions need, and its eviction.

Only the store counts towards the cache limit; models' environments and servers do not.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from cloche import composition
from cloche.rollout import keeping

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager

    from cloche.artifacts import Revision
    from cloche.settings import Settings
    from cloche.store import Cleaned, Usage

_RECENT_SECONDS = 3600.0
"""An entry used within this time may belong to a deploy that is not recorded yet."""
_UNUSED_ENVIRONMENT_SECONDS = 30 * 86400.0


def under_way(settings: Settings) -> AbstractContextManager[None]:
    """Protect the entries that a deploy uses from eviction until its revision is recorded."""
    return composition.store(settings).working()


def usage(settings: Settings, keep: Collection[str] | None = None) -> list[Usage]:
    """Return the entries of the cache, environments and images, least recently used first.

    `keep` are the needed digests, if they are known.
    """
    from cloche import environments
    from cloche.state.kubernetes import document_cache
    from cloche.targets.local import replica_images

    keep = needed_digests(settings) if keep is None else keep
    entries = [
        *composition.store(settings).usage(keep),
        *environments.usage(settings.layout.environments, keep),
        *composition.installations(settings).outdated(),
        *replica_images.usage(settings.layout.containers, keep),
        *document_cache.usage(settings.layout.documents),
    ]
    return sorted(entries, key=lambda entry: entry.last_used)


def clean(settings: Settings, target_size: int | None = None) -> Cleaned:
    """Evict entries until the cache has a size in bytes (default: its limit).

    Entries that revisions need stay. Environments that no revision needs, images that engines hold
    for replicas, and what was read of clusters' revisions are removed after 30 days without use.
    With size 0 they are removed at once, as are the servers of earlier versions.
    """
    from cloche import environments
    from cloche.state.kubernetes import document_cache
    from cloche.store import Cleaned
    from cloche.targets.local import replica_images

    keep, store = needed_digests(settings), composition.store(settings)
    everything = target_size == 0
    before = time.time() - (0 if everything else _UNUSED_ENVIRONMENT_SECONDS)
    before = min(before, store.work_began() or before)
    parts = [
        store.clean(keep, target_size),
        environments.clean(settings.layout.environments, keep, before=before),
        replica_images.clean(settings.layout.containers, keep, before=before),
        document_cache.clean(settings.layout.documents, before=before),
    ]
    if everything:
        parts.append(composition.installations(settings).clean())
    removed = tuple(entry for part in parts for entry in part.removed)
    return Cleaned(sum(part.freed for part in parts), parts[0].size, removed)


def needed_digests(settings: Settings) -> set[str]:
    """Return the digests of all entries that are needed to bring back a kept revision."""
    return set(holders(settings))


def holders(settings: Settings) -> dict[str, list[tuple[str, int]]]:
    """Return the services and kept revisions that need each entry, by its digest.

    `cloche.rollout.keeping` chooses the kept revisions. Writes nothing, so a full disk is no limit.
    """
    from cloche.clients.control import record as home

    found: dict[str, list[tuple[str, int]]] = {}
    if not home.has_services(settings.home):
        return found
    with closing(composition.recorded_state(settings)) as state:
        for name in state.services():
            stored = state.service(name)
            numbers = keeping.kept_revisions(stored.record) if stored is not None else ()
            for number in sorted(numbers):
                revision = state.revision(name, number)
                for digest in _digests_of(revision) if revision is not None else ():
                    found.setdefault(digest, []).append((name, number))
    return found


def _digests_of(revision: Revision) -> set[str]:
    deployment, golden = revision.deployment, revision.deployment.golden
    digests = {deployment.repository.digest}
    for member in deployment.members:
        digests.add(member.snapshot.digest)
        if member.lock is not None:
            digests.add(member.lock.digest)
            digests.update(wheel.digest for wheel in member.lock.built)
    bodies = golden.bodies() if golden is not None else ()
    return digests | {body.digest for body in (*bodies, deployment.example) if body is not None}


def make_room(settings: Settings) -> None:
    """Evict unneeded entries until the cache fits; it stays larger if too much is needed."""
    store = composition.store(settings)
    if store.size() <= store.max_size:
        return
    since = time.time() - _RECENT_SECONDS
    recent = {entry.digest for entry in store.usage() if entry.last_used > since and entry.digest}
    store.clean(needed_digests(settings) | recent)
