"""Which revisions keep their files, so that a rollback can bring them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import Deployment, ServiceRecord


def kept_revisions(record: ServiceRecord) -> set[int]:
    """Return the numbers of the revisions whose files stay, whatever the limit of the cache.

    They are the live one, that of the last rollout, and the latest `rollout.keep` revisions that
    were live. A revision that failed does not count.
    """
    numbers: list[int] = []
    for rollout in reversed(record.rollouts):
        if rollout.outcome is Outcome.COMPLETED and rollout.to not in numbers:
            numbers.append(rollout.to)
    latest = record.latest
    current = {record.live, latest.to if latest is not None else None}
    return {
        *numbers[: record.operated.kept],
        *(number for number in current if number is not None),
    }


def bytes_of(deployments: Iterable[Deployment]) -> int:
    """Return the size of the files of deployments in bytes; shared files count once."""
    sizes = {
        digest: size for deployment in deployments for digest, size in deployment.bytes_needed()
    }
    return sum(sizes.values())
