"""Joins the wanted split of each service with the replicas that are ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    Route,
    ServiceRoutes,
)
from cloche.targets.local.lifecycle import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloche.artifacts import ModelRepository
    from cloche.targets import Placement
    from cloche.targets.local.supervised import Record


@dataclass(frozen=True, slots=True)
class Placed:
    """A placed revision, and the records of its replicas."""

    placement: Placement
    replicas: tuple[Record, ...]
    as_streams: bool = False
    """Whether single calls over gRPC are passed on to it as streams."""


def gateway_state(routes: Iterable[Route], placed: Iterable[Placed]) -> GatewayState:
    """Join routes and replicas; leave out routes to revisions that are not placed."""
    known = {(each.placement.service, each.placement.revision): each for each in placed}
    by_service: dict[str, list[Route]] = {}
    for route in sorted(routes, key=order):
        if (route.service, route.revision) in known:
            by_service.setdefault(route.service, []).append(route)
    services = []
    for name, shares in by_service.items():
        # The revision with the most traffic first: its model is the one in the health check.
        repositories = [
            known[name, share.revision].placement.repository
            for share in sorted(shares, key=lambda share: -share.weight)
        ]
        models = dict.fromkeys(model for each in repositories for model in each.models)
        revisions = tuple(_revision(share, known[name, share.revision]) for share in shares)
        numbered = any(_is_numbered(each) for each in repositories)
        aliases = dict.fromkeys(
            alias for share in shares for alias in known[name, share.revision].placement.aliases
        )
        others = tuple(alias for alias in aliases if alias not in models)
        services.append(
            ServiceRoutes(
                name,
                tuple(models),
                revisions,
                numbered,
                aliases=others,
                timeout=known[name, shares[0].revision].placement.request_limit,
            )
        )
    return GatewayState(tuple(services))


def _revision(share: Route, placed: Placed) -> RevisionEndpoints:
    endpoints, stateful = _endpoints(placed.replicas), placed.placement.repository.main.stateful
    # By the wanted number, too: whoever must send a header learns it whatever is ready just now.
    several = max(placed.placement.replicas.minimum, len(endpoints)) > 1
    return RevisionEndpoints(
        share.revision,
        share.weight,
        endpoints,
        stateful=stateful,
        spread=stateful and several,
        decoupled=all(member.decoupled for member in placed.placement.repository.members),
        as_streams=placed.as_streams,
    )


def _is_numbered(repository: ModelRepository) -> bool:
    """Return whether a repository has a folder MODEL/VERSION of a version other than 1."""
    folders = {PurePosixPath(file.path).parts[1] for file in repository.files if "/" in file.path}
    return any(folder.isdecimal() and folder != "1" for folder in folders)


def _endpoints(replicas: Iterable[Record]) -> tuple[Endpoint, ...]:
    return tuple(
        sorted(
            Endpoint(record.addresses[0], record.addresses[1])
            for record in replicas
            if record.pid is not None and record.life.step is Step.READY
        )
    )


def order(route: Route) -> tuple[str, int]:
    """Return the key that routes are sorted by."""
    return route.service, route.revision
