"""What the gateway should route: services, their revisions, and the endpoints of replicas."""

from __future__ import annotations

from dataclasses import dataclass

ANY_HOST = "*"
SERVICE_HOSTS = "*.localhost"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One replica: its addresses for HTTP and gRPC, `127.0.0.1:18000` or `unix:/run/a.http`."""

    http: str
    grpc: str


@dataclass(frozen=True, slots=True)
class Route:
    """One revision's share of a service's traffic in percent; 0 is by header only."""

    service: str
    revision: int
    weight: int


@dataclass(frozen=True, slots=True)
class RevisionEndpoints:
    """One revision, its share of the service's traffic in percent, and its replicas.

    A revision of weight 0 gets only requests that name it in the header `cloche-revision`.
    """

    revision: int
    weight: int
    endpoints: tuple[Endpoint, ...] = ()
    stateful: bool = False
    """Whether all requests of a sequence have to reach one replica."""
    spread: bool = False
    """Whether it is stateful and has, or will have, more than one replica."""
    decoupled: bool = False
    """Whether all its models answer a request with a stream, so that ModelInfer is refused."""
    as_streams: bool = False
    """Whether each ModelInfer is passed on as a stream: one that is cancelled ends the server."""


@dataclass(frozen=True, slots=True)
class ServiceRoutes:
    """A service, the names of its models, and its revisions.

    The first model is the one in the health check of replicas.
    """

    name: str
    models: tuple[str, ...]
    revisions: tuple[RevisionEndpoints, ...] = ()
    numbered: bool = False
    """Whether its models have versions other than 1, as in a finished repository."""
    plain: tuple[str, ...] = ()
    """The names that lead here by themselves, though other services may have such a model, too."""
    aliases: tuple[str, ...] = ()
    """Further names of its first model, by which the server does not know it."""
    timeout: float | None = None
    """Seconds that a request may take; None for the gateway's own limit."""

    @property
    def host(self) -> str:
        """The host under which every path and call is for this service."""
        return f"{self.name}.localhost"

    def server_name(self, name: str) -> str | None:
        """Return the name by which the server knows a model, None if it is `name` itself."""
        return None if name in self.models else self.models[0]


@dataclass(frozen=True, slots=True)
class GatewayState:
    """All that the gateway should serve."""

    services: tuple[ServiceRoutes, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class ClusterName:
    """The name of a revision's cluster for one protocol, written `digits.r3.http`."""

    service: str
    revision: int
    protocol: str
    """`http` or `grpc`"""

    def __str__(self) -> str:
        return f"{self.service}.r{self.revision}.{self.protocol}"


def plain_owners(state: GatewayState) -> dict[str, ServiceRoutes]:
    """Return the service that each name of a model leads to by itself.

    While a name passes from one service to another, both may have it: the first one counts.
    """
    owners: dict[str, ServiceRoutes] = {}
    for service in state.services:
        for name in service.plain:
            owners.setdefault(name, service)
    return owners
