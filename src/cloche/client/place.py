"""The contract of what a client's calls need of the place where its services are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cloche.artifacts import Consent, DeployAnswer, Finding
    from cloche.control import ControlPlane
    from cloche.spec import ServiceSpec


@dataclass(frozen=True, slots=True)
class Begun:
    """A rollout that is recorded."""

    service: str
    answer: DeployAnswer
    connect: Callable[[], ControlPlane]
    """Returns the control plane that carries it out, also after a crash of it."""
    goes_on: bool = True
    """Whether it goes on without the client."""
    findings: tuple[Finding, ...] = ()
    """What there is to know of how it was prepared."""


class Place(Protocol):
    """A home, or a place in a cluster."""

    def control(self) -> ControlPlane:
        """Return a control plane that answers for what runs."""

    def reading(self) -> AbstractContextManager[ControlPlane]:
        """Yield a control plane for queries, also where all was ended on purpose."""

    def acting(self, service: str) -> AbstractContextManager[Callable[[], ControlPlane]]:
        """Yield what returns the control plane that carries out what is recorded of a service.

        In a cluster that is this process, until the end of the block.
        """

    def deploying(
        self, spec: ServiceSpec, directory: Path, accept: Collection[Consent]
    ) -> AbstractContextManager[Begun]:
        """Prepare what a spec describes and record its deploy; the block waits for the rollout."""

    def reached(self, service: str) -> AbstractContextManager[tuple[str, str | None] | None]:
        """Yield base URL and gRPC address of a pod of a service; None if the gateway is asked."""

    def removal(self, service: str) -> Callable[[], None]:
        """Return what is to be done once a service that is there now has been removed."""

    def close(self) -> None:
        """Close the connections."""
