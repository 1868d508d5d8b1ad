"""What a home keeps to work faster, what of it is needed, and making room.

Only the store counts towards the limit of the cache; models' environments and the servers do not.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from cloche import composition as opening

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cloche.settings import Settings
    from cloche.store import Cleaned, Usage

_RECENT_SECONDS = 3600.0
"""What was used in this time may belong to a deploy that is not recorded yet."""
_UNUSED_ENVIRONMENT_SECONDS = 30 * 86400.0


def under_way(settings: Settings) -> AbstractContextManager[None]:
    """Protect what a deploy uses from being cleaned away, until its revision is on record."""
    return opening.store(settings).working()


def usage(settings: Settings) -> list[Usage]:
    """Return the entries of the cache and the environments, least recently used first."""
    from cloche import environments
    from cloche.targets.local import outdated

    keep = kept(settings)
    found = [
        *opening.store(settings).usage(keep),
        *environments.usage(settings.layout.environments, keep),
        *outdated.usage(settings.layout.servers),
    ]
    return sorted(found, key=lambda one: one.last_used)


def clean(settings: Settings, target_size: int | None = None) -> Cleaned:
    """Evict entries until the cache has a size in bytes (default: its limit).

    What revisions need stays. Environments that no revision needs are removed after a month without
    use; with size 0 at once, and with them the servers of earlier versions of Cloche.
    """
    from cloche import environments
    from cloche.store import Cleaned
    from cloche.targets.local import outdated

    keep, store = kept(settings), opening.store(settings)
    everything = target_size == 0
    before = time.time() - (0 if everything else _UNUSED_ENVIRONMENT_SECONDS)
    before = min(before, store.work_began() or before)
    parts = [
        store.clean(keep, target_size),
        environments.clean(settings.layout.environments, keep, before=before),
    ]
    if everything:
        parts.append(outdated.clean(settings.layout.servers))
    removed = tuple(one for part in parts for one in part.removed)
    return Cleaned(sum(part.freed for part in parts), parts[0].size, removed)


def kept(settings: Settings) -> set[str]:
    """Return the digests that the recorded revisions need to run again."""
    from cloche.clients.control import record as home

    if not home.has_services(settings.home):
        return set()
    with closing(opening.state(settings)) as state:
        revisions = [one for record in state.services() for one in state.revisions(record.name)]
    digests: set[str] = set()
    for revision in revisions:
        deployment = revision.deployment
        digests |= {deployment.snapshot.digest, deployment.repository.digest}
        if deployment.lock is not None:
            digests.add(deployment.lock.digest)
        bodies = [deployment.example]
        if revision.golden is not None:
            bodies += [revision.golden.request, revision.golden.expected]
        digests |= {body.digest for body in bodies if body is not None}
    return digests


def make_room(settings: Settings) -> None:
    """Evict unneeded entries until the cache fits; it stays larger if too much is needed."""
    store = opening.store(settings)
    if store.size() <= store.max_size:
        return
    since = time.time() - _RECENT_SECONDS
    recent = {one.digest for one in store.usage() if one.last_used > since and one.digest}
    store.clean(kept(settings) | recent)
