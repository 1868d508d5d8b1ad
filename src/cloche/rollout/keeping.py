"""Which revisions are kept whole, so that any of them can be brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import Deployment, ServiceRecord


def kept(record: ServiceRecord) -> set[int]:
    """Return the numbers of the revisions whose files stay, whatever the limit of the cache.

    These are the live one, the one of the last rollout, and as many of those that were live as the
    service keeps (`rollout.keep`), the latest first. A revision that failed takes nobody's place.
    """
    numbers: list[int] = []
    for rollout in reversed(record.rollouts):
        if rollout.outcome is Outcome.COMPLETED and rollout.to not in numbers:
            numbers.append(rollout.to)
    latest = record.latest
    always = {record.live, latest.to if latest is not None else None}
    return {*numbers[: record.operated.kept], *(one for one in always if one is not None)}


def bytes_of(deployments: Iterable[Deployment]) -> int:
    """Return how many bytes the files of deployments take; what they share counts once."""
    sizes = {
        digest: size for deployment in deployments for digest, size in deployment.bytes_needed()
    }
    return sum(sizes.values())
