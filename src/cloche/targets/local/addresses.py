"""Who may be reached by the name of a model alone: the service that had it first.

The gateway has one address for all services, and a model's name in the path or message leads to one
of them. A later service with a model of the same name is reached by its host or header, and takes
the name over when the services before it have gone. The order of arrival outlives the processes:
after a restart nobody answers in place of a service that is still starting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Claim:
    """The services that have a model of one name, in order of arrival."""

    name: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Addresses:
    """All claims, kept on disk."""

    claims: tuple[Claim, ...] = ()

    def owner(self, name: str) -> str | None:
        """Return the service that a name leads to; None if no service has it."""
        return next((claim.services[0] for claim in self.claims if claim.name == name), None)

    def owned(self, service: str, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the names that lead to a service."""
        owners = {claim.name: claim.services[0] for claim in self.claims}
        return tuple(name for name in names if owners.get(name) == service)

    def with_names(self, names: Mapping[str, Collection[str]]) -> Addresses:
        """Return the claims after services were seen with these names, and with no others.

        A service that is not in `names` keeps its claims: it may be starting.
        """
        claims = {claim.name: claim.services for claim in self.claims}
        arriving = [(name, service) for service, held in names.items() for name in held]
        # Of services that arrive at once, one that is called like its model comes first.
        for name, service in sorted(arriving, key=lambda pair: (pair[0] != pair[1], pair)):
            waiting = claims.get(name, ())
            claims[name] = waiting if service in waiting else (*waiting, service)
        return _of(
            (name, tuple(each for each in services if each not in names or name in names[each]))
            for name, services in claims.items()
        )

    def kept(self, services: Collection[str]) -> Addresses:
        """Return the claims of these services alone: the others have gone."""
        return _of(
            (claim.name, tuple(each for each in claim.services if each in services))
            for claim in self.claims
        )

    def without(self, service: str) -> Addresses:
        """Return the claims without those of a service that has gone."""
        return _of(
            (claim.name, tuple(each for each in claim.services if each != service))
            for claim in self.claims
        )


def _of(claims: Iterable[tuple[str, tuple[str, ...]]]) -> Addresses:
    return Addresses(tuple(Claim(*claim) for claim in sorted(claims) if claim[1]))
