"""The rollouts that left the record of a service, and the attachments of its revisions.

Rollouts come here before the record goes on without them, so a crash in between loses none; who
reads takes one that is in both once. Only rollouts that have ended come here, and those never
change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloche.artifacts import Attached, Outcome, Rollout, encode
from cloche.state.kubernetes.config_maps import ConfigMaps, value_in
from cloche.state.kubernetes.names import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.artifacts import Verification
    from cloche.clients.kubernetes.cluster import Cluster
    from cloche.state.kubernetes.objects import Body

MOST_ROLLOUTS = 100
_ROLLOUTS, _ATTACHED = "rollouts.json", "attached.json"
# A ConfigMap holds 1 MiB.
_MOST_ROLLOUT_BYTES = 600_000
_MOST_ATTACHED_BYTES = 300_000

RolloutKey = tuple[str, int]


def key_of(rollout: Rollout) -> RolloutKey:
    """Return what tells a rollout of a service from its others: when it began, and where to."""
    return rollout.started_at, rollout.to


class History:
    """The history of each service, in a ConfigMap beside its record."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._maps = ConfigMaps(cluster, namespace, Part.HISTORY)

    def rollouts(self, service: str) -> tuple[Rollout, ...]:
        """Return the rollouts that left the record, oldest first."""
        return _rollouts(self._maps.read(service))

    def add(self, service: str, rollouts: Iterable[Rollout]) -> None:
        """Add ended rollouts, which may be there already; the oldest incomplete are forgotten."""
        moved = tuple(rollouts)

        def rule(body: Body | None) -> Mapping[str, object] | None:
            kept = merged(_rollouts(body), moved)
            return {_ROLLOUTS: _limited(list(kept))} if kept != _rollouts(body) else None

        self._maps.change(service, rule)

    def attach(self, service: str, number: int, value: Verification) -> None:
        """Attach the outcome of a golden request to a revision; the latest one counts."""

        def rule(body: Body | None) -> Mapping[str, object]:
            attached = {**_attached(body), str(number): Attached(value)}
            while len(attached) > 1 and len(encode(attached)) > _MOST_ATTACHED_BYTES:
                del attached[min((each for each in attached if each != str(number)), key=int)]
            return {_ATTACHED: attached}

        self._maps.change(service, rule)

    def attached(self, service: str, number: int) -> Attached:
        """Return what is attached to a revision."""
        return _attached(self._maps.read(service)).get(str(number), Attached())


def merged(earlier: Iterable[Rollout], later: tuple[Rollout, ...]) -> tuple[Rollout, ...]:
    """Return earlier rollouts that are not among the later ones, and these."""
    known = {key_of(rollout) for rollout in later}
    return (*(rollout for rollout in earlier if key_of(rollout) not in known), *later)


def _rollouts(body: Body | None) -> tuple[Rollout, ...]:
    if body is None or _ROLLOUTS not in (body.get("data") or {}):
        return ()
    return value_in(body, _ROLLOUTS, tuple[Rollout, ...])


def _attached(body: Body | None) -> dict[str, Attached]:
    """Return what is attached by the number of the revision."""
    if body is None or _ATTACHED not in (body.get("data") or {}):
        return {}
    return value_in(body, _ATTACHED, dict[str, Attached])


def _limited(rollouts: list[Rollout]) -> list[Rollout]:
    """Forget rollouts until the others fit; those that did not complete first, from the oldest."""
    while len(rollouts) > MOST_ROLLOUTS or len(encode(rollouts)) > _MOST_ROLLOUT_BYTES:
        incomplete = (each for each in rollouts[:-1] if each.outcome is not Outcome.COMPLETED)
        rollouts.remove(next(incomplete, rollouts[0]))
    return rollouts
